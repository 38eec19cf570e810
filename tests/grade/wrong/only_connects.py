#!/usr/bin/env python3
"""Fails stage 6: checks servers by connecting only, which a frozen server accepts."""
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
            return True
        except OSError:
            return False

main(Wrong)
