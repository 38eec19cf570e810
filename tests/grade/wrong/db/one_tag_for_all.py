#!/usr/bin/env python3
"""Fails stage 4: gives every version the same ETag."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def answer(self, status, body=b"", tag=None):
        super().answer(status, body, None if tag is None else 1)

    def write(self, key, compute):
        headers = self.headers
        match = headers.get("If-Match")
        if match is not None and self.store.get(key) is not None:
            headers.replace_header("If-Match", f'"1.{self.store.get(key)[1]}"' if match == '"1.1"' else "other")
        return super().write(key, compute)

main(Store, Wrong)
