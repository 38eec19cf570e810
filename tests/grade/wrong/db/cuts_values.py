#!/usr/bin/env python3
"""Fails stage 1: returns only a value's first thousand bytes."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def answer(self, status, body=b"", tag=None):
        super().answer(status, body[:1000], tag)

main(Store, Wrong)
