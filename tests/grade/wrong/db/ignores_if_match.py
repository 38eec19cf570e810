#!/usr/bin/env python3
"""Fails stage 4: ignores If-Match."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def allows(self, key, if_match, if_none_match):
        return super().allows(key, None, if_none_match)

main(Wrong)
