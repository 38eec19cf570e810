#!/usr/bin/env python3
"""Fails stage 7: answers 500 when a server is down or too slow."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

from balancer import Refused

class Wrong(Balancer):
    async def forward(self, *request):
        try:
            return await super().forward(*request)
        except Refused:
            raise Refused(500)

main(Wrong)
