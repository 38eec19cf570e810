#!/usr/bin/env python3
"""Where Prometheus finds the metrics of a running lab, as its file_sd_configs wants it.

    labctl status --json | python3 deploy/observability/targets.py > deploy/observability/targets/lab.json

Redis has no metrics of its own. A balancer shows its metrics at its admin interface, on the port after its own.
"""
import json
import sys

lab = json.load(sys.stdin)
targets = []
for machine in lab["machines"]:
    for program in machine["programs"]:
        if program["program"] not in ("lb", "webserver", "dbnode"):
            continue
        host, port = program["address"].rsplit(":", 1)
        metrics_port = int(port) + 1 if program["program"] == "lb" else int(port)
        labels = {"job": program["program"], "machine": machine["name"]}
        targets.append({"targets": [f"{host}:{metrics_port}"], "labels": labels})
json.dump(targets, sys.stdout, indent=2)
print()
