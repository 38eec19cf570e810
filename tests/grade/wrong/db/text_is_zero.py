#!/usr/bin/env python3
"""Fails stage 5: treats text as 0 when something is added to it."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def write(self, key, compute):
        def forgiving(value):
            try:
                return compute(value)
            except ValueError:
                return compute(None)
        return super().write(key, forgiving)

main(Store, Wrong)
