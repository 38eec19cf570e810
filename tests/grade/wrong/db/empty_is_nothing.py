#!/usr/bin/env python3
"""Fails stage 2: treats a record with an empty value as missing."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def do_GET(self):
        found = self.store.get(self.key())
        if found is not None and not found[0]:
            return self.answer(404)
        super().do_GET()

main(Store, Wrong)
