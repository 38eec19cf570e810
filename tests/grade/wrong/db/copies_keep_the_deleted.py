#!/usr/bin/env python3
"""Fails stage 7: serves deleted records from its local copy."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import Front, main

class Wrong(Front):
    shown = {}

    def exchange(self, method, path, headers, body):
        answer = super().exchange(method, path, headers, body)
        if method == "GET" and path.endswith("?read=local"):
            if answer[0] == 200:
                self.shown[path] = answer
            return self.shown.get(path, answer)
        return answer

main(Wrong)
