#!/usr/bin/env python3
"""Fails stage 6: keeps idempotency keys in memory only."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Store):
    def __init__(self, directory):
        super().__init__(directory)
        self.names = {}

main(Wrong)
