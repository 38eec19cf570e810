#!/usr/bin/env python3
"""Fails stage 9: acknowledges a write after 0.4 s, whether it is done or not."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, Front, main
import queue, threading

class Wrong(Front):
    def exchange(self, method, path, headers, body):
        if method == "GET" or not IS_CLUSTER:
            return super().exchange(method, path, headers, body)
        done = queue.Queue()
        forward = super().exchange
        threading.Thread(target=lambda: done.put(forward(method, path, headers, body)), daemon=True).start()
        try:
            answer = done.get(timeout=0.4)
        except queue.Empty:
            answer = 204, [], b""
        return answer

main(Wrong)
