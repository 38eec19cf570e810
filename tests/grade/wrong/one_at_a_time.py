#!/usr/bin/env python3
"""Fails stage 13: reads one request after the other, so that one slow client blocks all others."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import asyncio
import balancer

read_head = balancer.read_head
door = asyncio.Lock()

async def in_turn(reader):
    # Servers' responses are read with a larger buffer: a small one means that this is a client.
    if reader._limit > 2**16:
        return await read_head(reader)
    async with door:
        return await read_head(reader)

balancer.read_head = in_turn
Wrong = Balancer

main(Wrong)
