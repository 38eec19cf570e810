#!/usr/bin/env python3
"""Fails stage 12: ignores SIGTERM."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import asyncio, signal

class Wrong(Balancer):
    async def run(self):
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: loop.add_signal_handler(signal.SIGTERM, lambda: None))
        await super().run()

main(Wrong)
