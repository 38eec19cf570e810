#!/usr/bin/env python3
"""Fails stage 12: exits at once on SIGTERM, and drops its requests."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import os, signal

class Wrong(Balancer):
    async def run(self):
        import asyncio
        asyncio.get_running_loop().call_soon(lambda: asyncio.get_running_loop().add_signal_handler(
            signal.SIGTERM, lambda: os._exit(0)))
        await super().run()

main(Wrong)
