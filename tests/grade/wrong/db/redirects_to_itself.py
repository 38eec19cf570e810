#!/usr/bin/env python3
"""Fails stage 7: as a replica, redirects to itself instead of the primary."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import OWN, Front, main

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        status, headers, body = super().exchange(method, path, headers, body)
        if status == 307:
            headers = [(name, f"http://{OWN}{path}" if name.lower() == "location" else value) for name, value in headers]
        return status, headers, body

main(Wrong)
