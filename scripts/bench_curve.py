"""Measures what the balancer costs with more and more upstreams, and with many idle connections, for
scripts/bench-lb.sh curve.

    bench_curve.py LB DIRECTORY [ROUNDS]

Every balancer is up in one run, with its checks, and loaded in turn in one-second slices."""

import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
from pathlib import Path

import bench_lb

ORIGIN = 18110
UPSTREAMS = [2, 10, 100, 1_000]
IDLE = 10_000


def address(number):
    """Returns the loopback address of an upstream; all of them are the same nginx."""
    return f"127.1.{number // 250}.{1 + number % 250}"


def origin(directory):
    listens = "".join(f"listen {address(number)}:{ORIGIN};" for number in range(max(UPSTREAMS)))
    paths = "".join(f"{name}_temp_path {directory}/{name};"
                    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    configuration = Path(directory) / "many.conf"
    configuration.write_text(f"""pid {directory}/many.pid; daemon off; worker_processes 1;
        error_log {directory}/error.log; events {{ worker_connections 16384; }}
        http {{ access_log off; {paths} keepalive_requests 100000000;
            server {{ {listens} location / {{ default_type text/plain; return 200 "hello, world"; }} }} }}""")
    return subprocess.Popen(["nginx", "-c", configuration, "-p", directory], stderr=subprocess.DEVNULL)


def balancer(lb, directory, port, upstreams):
    named = ",".join(f"web-{number}={address(number)}:{ORIGIN}" for number in range(upstreams))
    log = open(Path(directory) / f"lb-{port}.log", "w")
    return subprocess.Popen([lb, "--listen", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{port + 100}", "--threads", "1",
                             "--max-connections", str(IDLE + 1_000), "--idle-timeout", "10m", "--upstream", named],
                            stderr=log)


def hold_idle(port):
    """Opens connections that each make one request and then stay."""
    request = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
    held = []
    for _ in range(IDLE):
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
        client.sendall(request)
        if not client.recv(4096).startswith(b"HTTP/1.1 200"):
            sys.exit("an idle connection's first request was not answered with 200")
        held.append(client)
    return held


def main():
    lb, directory, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 10
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.chmod(directory, 0o755)
    started = [origin(directory)]
    try:
        rows = [(f"{count:,} upstreams".replace(",", " "), 18120 + place, count)
                for place, count in enumerate(UPSTREAMS)]
        rows.append((f"2 upstreams, {IDLE:,} idle connections".replace(",", " "), 18120 + len(rows), 2))
        proxies = []
        for name, port, upstreams in rows:
            started.append(balancer(lb, directory, port, upstreams))
            proxies.append((name, port, started[-1].pid))
        for _, port, _ in rows:
            bench_lb.wait_until_up(port)
        held = hold_idle(rows[-1][1])
        slices = bench_lb.measure("small", proxies, rounds, Path(directory))
        del held
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
    print("| balancer | CPU per request | of that with 2 upstreams | requests a second | p99 |")
    print("|---|---|---|---|---|")
    for name, measured in slices.items():
        ratios = [mine[0] / least[0] for mine, least in zip(measured, slices[rows[0][0]])]
        cost, rate, p99 = (statistics.median(column) for column in zip(*measured))
        print(f"| {name} | {cost:.1f} µs | {statistics.median(ratios):.2f} | {rate:.0f} | {p99:.2f} ms |")


main()
