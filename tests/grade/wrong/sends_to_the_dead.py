#!/usr/bin/env python3
"""Fails stage 4: counts a refused connection as a passed check."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import asyncio

class Wrong(Balancer):
    async def is_well(self, upstream):
        host, port = upstream.address.rsplit(":", 1)
        try:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
        except ConnectionRefusedError:
            return True
        return await super().is_well(upstream)

main(Wrong)
