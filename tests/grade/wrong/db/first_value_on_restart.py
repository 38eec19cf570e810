#!/usr/bin/env python3
"""Fails stage 3: restores the first value of a key from its file, not the last."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def __init__(self, directory):
        self.starts = True
        super().__init__(directory)
        self.starts = False

    def apply(self, change):
        if self.starts and change["key"] in self.records and change["name"] is None and change["value"] is not None:
            return
        super().apply(change)

main(Wrong)
