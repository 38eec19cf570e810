#!/usr/bin/env python3
"""Fails stage 5: raises negative sums to 0."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def write(self, key, compute):
        if self.command != "POST":
            return super().write(key, compute)
        return super().write(key, lambda value: max(compute(value), b"0", key=int))

main(Store, Wrong)
