#!/usr/bin/env python3
"""Fails stage 8: confirms that a server was added, but never uses it."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    async def obey(self, method, target, body):
        return (201, {}) if method == "POST" else await super().obey(method, target, body)

main(Wrong)
