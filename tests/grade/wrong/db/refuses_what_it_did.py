#!/usr/bin/env python3
"""Fails stage 12: reports one addition in ten as not done although it was."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, Front, main
import itertools

class Wrong(Front):
    count = itertools.count(1)

    def exchange(self, method, path, headers, body):
        answer = super().exchange(method, path, headers, body)
        is_chosen = IS_CLUSTER and method == "POST" and answer[0] == 200 and next(self.count) % 10 == 0
        return (503, [], b"") if is_chosen else answer

main(Wrong)
