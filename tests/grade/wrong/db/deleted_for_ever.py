#!/usr/bin/env python3
"""Fails stage 2: never accepts a deleted key again, though it acknowledges the write."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def apply(self, change):
        gone = self.__dict__.setdefault("gone", set())
        if change["value"] is None:
            gone.add(change["key"])
        elif change["key"] in gone:
            return
        super().apply(change)

main(Wrong)
