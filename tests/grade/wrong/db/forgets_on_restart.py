#!/usr/bin/env python3
"""Fails stage 3: has what was put in memory alone."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def persist(self, change):
        if change["name"] is not None:    # those are another stage's
            super().persist(change)

main(Wrong)
