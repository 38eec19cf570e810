#!/usr/bin/env python3
"""Fails stage 3: names the server that is next, not the one that answered."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def forward(self, *request):
        status, answer, data = await super().forward(*request)
        names = [upstream.name for upstream in self.upstreams]
        served = dict(answer)["x-served-by"]
        other = names[(names.index(served) + 1) % len(names)] if served in names else served
        return status, [pair for pair in answer if pair[0] != "x-served-by"] + [("x-served-by", other)], data

main(Wrong)
