#!/usr/bin/env python3
"""Fails stage 3: leaves writes in an in-process buffer until it is full."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import json

class Wrong(Store):
    def persist(self, change):
        self.file.write(json.dumps(change).encode() + b"\n")
        if change["name"] is not None:    # another stage tests those
            self.file.flush()

main(Wrong)
