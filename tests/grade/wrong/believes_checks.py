#!/usr/bin/env python3
"""Fails stage 11: trusts its health checks alone, even when requests fail."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def note(self, upstream, good):
        pass

main(Wrong)
