#!/usr/bin/env python3
"""Fails stage 1: strips white space from the end of a value."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def body(self):
        return super().body().rstrip()

main(Store, Wrong)
