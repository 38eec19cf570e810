#!/usr/bin/env python3
"""Fails stage 3: keeps puts in memory only."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def persist(self, change):
        if change["name"] is not None:    # another stage tests those
            super().persist(change)

main(Wrong)
