#!/usr/bin/env python3
"""Fails stage 3: acknowledges at once, and writes to disk only every tenth of a second."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main
import threading, time

class Wrong(Store):
    def __init__(self, directory):
        super().__init__(directory)
        self.waiting = []
        threading.Thread(target=self.write_later, daemon=True).start()

    def persist(self, change):
        self.waiting.append(change)

    def write_later(self):
        while True:
            time.sleep(0.1)
            with self.lock:
                waiting, self.waiting = self.waiting, []
                for change in waiting:
                    super().persist(change)

main(Wrong)
