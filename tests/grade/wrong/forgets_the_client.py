#!/usr/bin/env python3
"""Fails stage 3: does not tell servers the address of the client."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def to_server(self, headers, client):
        return [pair for pair in super().to_server(headers, client) if pair[0] != "x-forwarded-for"]

main(Wrong)
