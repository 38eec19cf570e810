#!/usr/bin/env python3
"""Fails stage 8: aborts the requests of a server that is being removed."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "examples"))
from balancer import Balancer, main

import asyncio
from balancer import Lost

class Wrong(Balancer):
    async def exchange(self, upstream, *request):
        upstream.tasks = getattr(upstream, "tasks", set())
        task = asyncio.ensure_future(super().exchange(upstream, *request))
        upstream.tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            raise Lost(502, True)
        finally:
            upstream.tasks.discard(task)

    async def obey(self, method, target, body):
        for upstream in self.upstreams:
            if method == "DELETE" and target == f"/upstreams/{upstream.name}":
                upstream.draining = True
                for task in list(getattr(upstream, "tasks", ())):
                    task.cancel()
        return await super().obey(method, target, body)

main(Wrong)
