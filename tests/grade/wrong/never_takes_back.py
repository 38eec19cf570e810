#!/usr/bin/env python3
"""Fails stage 5: never takes an ejected server back."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def is_well(self, upstream):
        if not upstream.up and getattr(upstream, "was_up", False):
            return False
        upstream.was_up = upstream.up
        return await super().is_well(upstream)

main(Wrong)
