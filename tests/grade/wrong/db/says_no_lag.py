#!/usr/bin/env python3
"""Fails stage 8: does not report the lag of a copy."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import Front, main

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        status, headers, body = super().exchange(method, path, headers, body)
        headers = [(name, value) for name, value in headers if name.lower() != "x-lag-ms"]
        return status, headers, body

main(Wrong)
