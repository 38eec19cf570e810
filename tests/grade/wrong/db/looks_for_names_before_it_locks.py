#!/usr/bin/env python3
"""Fails stage 6: does a write twice if both attempts arrive at the same time."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import time

class Wrong(Store):
    def write(self, key, compute, name, if_match=None, if_none_match=None):
        if name is None:
            return super().write(key, compute, name, if_match, if_none_match)
        if name in self.names:
            return 200, self.names[name]
        time.sleep(0.005)
        with self.lock:
            self.names.pop(name, None)
        return super().write(key, compute, name, if_match, if_none_match)

main(Wrong)
