#!/usr/bin/env python3
"""Fails stage 7: as a replica, refuses writes without naming the primary."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import Front, main

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        answer = super().exchange(method, path, headers, body)
        return (503, [], b"") if answer[0] == 307 else answer

main(Wrong)
