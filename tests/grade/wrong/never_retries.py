#!/usr/bin/env python3
"""Fails stage 10: never retries a failed request on another server."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def __init__(self, args):
        args.retries = 0
        super().__init__(args)

main(Wrong)
