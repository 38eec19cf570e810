#!/usr/bin/env python3
"""Fails stage 8: refreshes a copy twice a second, and reports no lag for it."""
import pathlib, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, Front, main

COPIES = {}

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        if not IS_CLUSTER or "read=local" not in path:
            return super().exchange(method, path, headers, body)
        since, answer = COPIES.get(path, (0, None))
        if time.monotonic() - since > 0.5:
            status, headers, body = super().exchange(method, path, headers, body)
            headers = [(name, value) for name, value in headers if name.lower() != "x-lag-ms"]
            answer = status, headers + [("X-Lag-Ms", "0")], body
            COPIES[path] = time.monotonic(), answer
        return answer

main(Wrong)
