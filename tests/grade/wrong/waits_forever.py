#!/usr/bin/env python3
"""Fails stage 7: waits for a response without a time limit."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

class Wrong(Balancer):
    def __init__(self, args):
        args.request_timeout = "1000s"
        super().__init__(args)

main(Wrong)
