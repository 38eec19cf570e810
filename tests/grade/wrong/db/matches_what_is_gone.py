#!/usr/bin/env python3
"""Fails stage 4: accepts any If-Match for a record that does not exist."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def allows(self, key, if_match, if_none_match):
        return key not in self.records or super().allows(key, if_match, if_none_match)

main(Wrong)
