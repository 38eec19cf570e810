#!/usr/bin/env python3
"""Fails stage 1: treats Colour and colour as the same key."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def key(self):
        return super().key().lower()

main(Store, Wrong)
