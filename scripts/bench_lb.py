"""The slices of scripts/bench-lb.sh: loads one proxy after the other, and measures the cost."""

import glob
import re
import statistics
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

SECONDS = 1
CONNECTIONS = 32
FIXED_RATE = 10_000

SCENARIOS = {
    "small": "small bodies, keep-alive, saturated",
    "fixed": f"small bodies, keep-alive, {FIXED_RATE} requests a second",
    "large": "64 KiB bodies, keep-alive, saturated",
    "churn": "small bodies, a connection for each request, saturated",
}


def cpu_seconds(pid):
    """Returns the user and system time of a process, its threads and its children (nginx's worker), in seconds.

    The scheduler's own account, in nanoseconds: utime and stime of /proc/PID/stat are the same,
    rounded to ticks of 10 ms, which is several per cent of a slice."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = 0
    for process in [str(pid), *children]:
        for schedstat in glob.glob(f"/proc/{process}/task/*/schedstat"):
            total += int(Path(schedstat).read_text().split()[0])
    return total / 1e9


def wrk(url, *more):
    """Returns the number of requests answered in a slice, and their p99 in milliseconds."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency", *more, url]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        print(text, file=sys.stderr)
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)\b", text).groups()
    p99 = float(value) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit]
    return int(re.search(r"(\d+) requests in", text).group(1)), p99


def h2load(url, log):
    """Does the same at a fixed rate."""
    log.unlink(missing_ok=True)
    command = ["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{SECONDS}", f"--log-file={log}",
               f"--rps={FIXED_RATE / CONNECTIONS}", url]
    subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in log.read_text().splitlines()]
    latencies = sorted(int(row[2]) for row in rows if row[1] == "200")
    return len(latencies), latencies[int(len(latencies) * 0.99)] / 1e3


def load(scenario, port, directory):
    base = f"http://127.0.0.1:{port}"
    match scenario:
        case "small":
            return wrk(f"{base}/")
        case "fixed":
            return h2load(f"{base}/", directory / "h2load.log")
        case "large":
            return wrk(f"{base}/64k")
        case "churn":
            return wrk(f"{base}/", "-HConnection: close")


def wait_until_up(port):
    end = time.monotonic() + 10
    while True:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
        except OSError:
            if time.monotonic() > end:
                sys.exit(f"nothing answers on port {port}")
            time.sleep(0.02)


def measure(scenario, proxies, rounds, directory):
    """Measures each proxy in each round: CPU microseconds per request, requests a second, p99."""
    slices = {name: [] for name, _, _ in proxies}
    for turn in range(rounds + 1):
        for name, port, pid in proxies[turn % len(proxies):] + proxies[:turn % len(proxies)]:
            before = cpu_seconds(pid)
            requests, p99 = load(scenario, port, directory)
            cost = (cpu_seconds(pid) - before) / requests * 1e6
            if turn > 0:  # The first round warms up.
                slices[name].append((cost, requests / SECONDS, p99))
    return slices


def main():
    split = sys.argv.index("--")
    directory = Path(sys.argv[1])
    proxies = [(name, int(port), int(pid)) for name, port, pid in
               (proxy.split(":") for proxy in sys.argv[2:split])]
    wanted = sys.argv[split + 1:]
    rounds = int(wanted.pop(0)) if wanted and wanted[0].isdigit() else 20
    for _, port, _ in proxies:
        wait_until_up(port)
    print("| scenario | proxy | CPU per request | of HAProxy's | requests a second | p99 |")
    print("|---|---|---|---|---|---|")
    for scenario in wanted or SCENARIOS:
        slices = measure(scenario, proxies, rounds, directory)
        for name, measured in slices.items():
            ratios = [mine[0] / theirs[0] for mine, theirs in zip(measured, slices["haproxy"])]
            cost, rate, p99 = (statistics.median(column) for column in zip(*measured))
            print(f"| {SCENARIOS[scenario]} | {name} | {cost:.1f} µs | {statistics.median(ratios):.2f} "
                  f"| {rate:.0f} | {p99:.2f} ms |", flush=True)


if __name__ == "__main__":
    main()
