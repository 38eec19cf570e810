#!/usr/bin/env python3
"""Fails stage 3: does not say which server answered."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def forward(self, *request):
        status, answer, data = await super().forward(*request)
        return status, [pair for pair in answer if pair[0] != "x-served-by"], data

main(Wrong)
