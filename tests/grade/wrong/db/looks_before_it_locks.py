#!/usr/bin/env python3
"""Fails stage 4: checks the version before it takes the lock."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import time

class Wrong(Store):
    def write(self, key, compute, name, if_match=None, if_none_match=None):
        if not self.allows(key, if_match, if_none_match):
            return 412, None
        time.sleep(0.01)
        return super().write(key, compute, name)

main(Wrong)
