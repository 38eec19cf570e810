#!/usr/bin/env python3
"""Fails stage 9: accepts two Host lines, and takes the first."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def understand(self, first, headers):
        hosts = [pair for pair in headers if pair[0] == "host"][:1]
        return super().understand(first, [pair for pair in headers if pair[0] != "host"] + hosts)

main(Wrong)
