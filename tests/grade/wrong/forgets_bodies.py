#!/usr/bin/env python3
"""Fails stage 1: forwards requests without their bodies."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def forward(self, method, target, headers, body):
        return await super().forward(method, target, headers, b"")

main(Wrong)
