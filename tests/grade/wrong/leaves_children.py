#!/usr/bin/env python3
"""Fails stage 12: leaves a child process behind when it exits."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import subprocess

class Wrong(Balancer):
    async def run(self):
        subprocess.Popen(["sleep", "300"])
        await super().run()

main(Wrong)
