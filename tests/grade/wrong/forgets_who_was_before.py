#!/usr/bin/env python3
"""Fails stage 3: overwrites X-Forwarded-For instead of appending to it."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def to_server(self, headers, client):
        return super().to_server([pair for pair in headers if pair[0] != "x-forwarded-for"], client)

main(Wrong)
