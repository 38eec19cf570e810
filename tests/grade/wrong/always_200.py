#!/usr/bin/env python3
"""Fails stage 1: always answers 200, whatever the server said."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def forward(self, method, target, headers, body):
        status, answer, data = await super().forward(method, target, headers, body)
        return 200 if status < 500 else status, answer, data

main(Wrong)
