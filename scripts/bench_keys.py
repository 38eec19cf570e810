"""Measures a single node with more and more records, for scripts/bench-db.sh keys.

    bench_keys.py DBNODE KV_LOAD DIRECTORY KEYS …

For each number of keys: how long the import takes, how long a restart takes, memory and disk as multiples of the data,
and the p99 of writes by eight clients while the log is compacted again and again."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

PORT = 18601
ADDRESS = f"127.0.0.1:{PORT}"
CLIENTS = 8
SECONDS = 10
VALUE = "x" * 100
LIMIT = 120
# What --log-entries is by default.
LOG_ENTRIES = 50_000


def export(path, keys):
    """Writes the file to import. Returns the size of its keys and values in bytes."""
    size = 0
    with open(path, "w") as file:
        for key in range(keys):
            file.write(f'{{"key":"k{key}","value":"{VALUE}"}}\n')
            size += len(f"k{key}") + len(VALUE)
    return size


def ask(path):
    return urllib.request.urlopen(f"http://{ADDRESS}{path}", timeout=1).read()


class Node:
    """A running node. Creating one waits until it answers."""

    def __init__(self, dbnode, data, *more):
        start = time.monotonic()
        command = [dbnode, "--id", "db-1", "--listen", ADDRESS, "--data", data, *more]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            try:
                ask("/kv/k0")
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > start + LIMIT:
                    self.stop()
                    sys.exit(f"dbnode does not answer; run {' '.join(map(str, command))}")
                time.sleep(0.005)
        self.began = time.monotonic() - start

    def memory(self):
        """Returns the resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) * 1024

    def stop(self):
        self.process.terminate()
        self.process.wait()


def disk(data):
    """Returns the disk space that the files use, in bytes."""
    return sum(file.stat().st_blocks * 512 for file in Path(data).rglob("*") if file.is_file())


def measure(dbnode, kv_load, directory, keys):
    file, data = Path(directory) / f"{keys}.jsonl", Path(directory) / f"keys-{keys}"
    size = export(file, keys)
    node = Node(dbnode, data, "--import", file)
    imported, fresh = node.began, node.memory()
    node.stop()
    node = Node(dbnode, data)
    restarted, memory, on_disk = node.began, node.memory(), disk(data)
    command = [kv_load, "dbnode", "put", ADDRESS, str(CLIENTS), str(SECONDS), str(keys)]
    rate, _, p99 = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    writes = json.loads(ask("/status"))["writes"]
    after = node.memory()
    node.stop()
    if writes <= LOG_ENTRIES:
        sys.exit(f"{writes} writes are too few: the log was never compacted")
    print(f"| {keys:,} | {imported:.2f} s | {restarted:.2f} s | {fresh / size:.1f} | {memory / size:.1f} | {after / size:.1f} "
          f"| {on_disk / size:.1f} | {rate:.0f} | {p99:.2f} ms |".replace(",", " "),
          flush=True)


def main():
    dbnode, kv_load, directory, *counts = sys.argv[1:]
    print("| keys | import | restart | memory ÷ data: after the import | after a restart | after the writes | disk ÷ data "
          "| writes a second | p99 |")
    print("|---|---|---|---|---|---|---|---|---|")
    for keys in map(int, counts):
        measure(dbnode, kv_load, directory, keys)


main()
