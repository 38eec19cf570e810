#!/usr/bin/env python3
"""Fails stage 3: leaves what it writes in a buffer of its own until that is full."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import json

class Wrong(Store):
    def persist(self, change):
        self.file.write(json.dumps(change).encode() + b"\n")
        if change["name"] is not None:    # those are another stage's
            self.file.flush()

main(Wrong)
