#!/usr/bin/env python3
"""Fails stage 6: remembers the idempotency keys of additions only."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def write(self, key, compute):
        if self.command != "POST":
            del self.headers["Idempotency-Key"]
        return super().write(key, compute)

main(Store, Wrong)
