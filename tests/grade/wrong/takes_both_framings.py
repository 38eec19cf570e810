#!/usr/bin/env python3
"""Fails stage 9: accepts a request with two framings as a chunked one."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import balancer

read_body = balancer.read_body

async def trusting(reader, headers, until_end):
    if balancer.values(headers, "transfer-encoding") == ["chunked"]:
        headers = [pair for pair in headers if pair[0] != "content-length"]
    return await read_body(reader, headers, until_end)

balancer.read_body = trusting
Wrong = Balancer

main(Wrong)
