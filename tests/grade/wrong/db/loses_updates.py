#!/usr/bin/env python3
"""Fails stage 5: reads, adds and writes in three steps."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import time

class Wrong(Store):
    def write(self, key, compute, name, if_match=None, if_none_match=None):
        if name is not None or if_match is not None or if_none_match is not None:
            return super().write(key, compute, name, if_match, if_none_match)
        try:
            value = compute((self.get(key) or (None,))[0])
        except ValueError:
            return 422, None
        time.sleep(0.002)
        return super().write(key, lambda _: value, name)

main(Wrong)
