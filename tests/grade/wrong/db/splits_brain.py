#!/usr/bin/env python3
"""Fails stage 11: as a primary that was frozen, acknowledges the writes that were waiting when it wakes up."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, Front, ask_node, main
import json, threading, time

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        if method == "PUT" and Watch.was_primary and Watch.slept():
            return 204, [], b""
        return super().exchange(method, path, headers, body)

class Watch:
    was_primary, woke, beat = False, 0, time.monotonic()

    @classmethod
    def slept(cls):
        now = time.monotonic()
        return now - cls.beat > 1 or now - cls.woke < 0.3

    @classmethod
    def go(cls):
        while True:
            time.sleep(0.02)
            now = time.monotonic()
            if now - cls.beat > 1:
                cls.woke = now
            cls.beat = now

    @classmethod
    def ask(cls):
        while True:
            time.sleep(0.05)
            status, _, body = ask_node("GET", "/status")
            is_primary = status == 200 and json.loads(body).get("role") == "primary"
            if not cls.slept():
                cls.was_primary = is_primary

if IS_CLUSTER:
    threading.Thread(target=Watch.go, daemon=True).start()
    threading.Thread(target=Watch.ask, daemon=True).start()

main(Wrong)
