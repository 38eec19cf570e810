#!/usr/bin/env python3
"""Fails stage 3: does not write deletions to its file."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def persist(self, change):
        if change["value"] is not None:
            super().persist(change)

main(Wrong)
