#!/usr/bin/env python3
"""Fails stage 10: retries every failed request, even a POST."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def may_repeat(self, method, lost):
        return True

main(Wrong)
