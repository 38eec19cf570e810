#!/usr/bin/env python3
"""Fails stage 3: forwards the hop-by-hop headers that Connection names."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def to_server(self, headers, client):
        return super().to_server([pair for pair in headers if pair[0] != "connection"], client)

main(Wrong)
