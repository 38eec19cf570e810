#!/usr/bin/env python3
"""Fails stage 6: ignores Idempotency-Key."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def write(self, key, compute, name, if_match=None, if_none_match=None):
        return super().write(key, compute, None, if_match, if_none_match)

main(Wrong)
