#!/usr/bin/env python3
"""Fails stage 1: takes Colour and colour for one key."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[4] / "examples"))
from database import Node, Store, main

class Wrong(Node):
    def key(self):
        return super().key().lower()

main(Store, Wrong)
