#!/usr/bin/env python3
"""Fails stage 12: serves reads of the latest value from a cache."""
import pathlib, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, Front, main

COPIES = {}

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        if not IS_CLUSTER or method != "GET" or not path.startswith("/kv/") or "?" in path:
            return super().exchange(method, path, headers, body)
        since, answer = COPIES.get(path, (0, None))
        if time.monotonic() - since > 0.3:
            answer = super().exchange(method, path, headers, body)
            COPIES[path] = time.monotonic(), answer
        return answer

main(Wrong)
