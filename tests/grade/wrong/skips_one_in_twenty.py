#!/usr/bin/env python3
"""Fails stage 2: sends every twentieth request to the first server, out of turn."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    count = 0

    def choose(self, tried):
        self.count += 1
        first = self.upstreams[0]
        if self.count % 20 == 0 and first.takes_requests() and first not in tried:
            return first
        return super().choose(tried)

main(Wrong)
