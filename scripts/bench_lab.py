"""The measurements of scripts/bench-lab.sh."""

import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

LABCTL = "target/release/labctl"
ORIGIN = 18300
RATE = 10_000
SECONDS = 4
ROUNDS = 5
CONNECTIONS = 32
NETWORK = "127.94"


def run(command, **more):
    """Returns a command's output, its CPU time in seconds, and its peak resident memory in MiB."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, **more)
        _, status, usage = os.wait4(process.pid, 0)
        out.seek(0)
        printed = out.read().decode()
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}")
    return printed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def origin(directory):
    """Starts an nginx that answers at once."""
    configuration = Path(directory) / "nginx.conf"
    paths = "".join(f"{name}_temp_path {directory}/{name};"
                    for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    configuration.write_text(f"""pid {directory}/nginx.pid; daemon off; worker_processes 1;
        error_log {directory}/error.log; events {{ worker_connections 4096; }}
        http {{ access_log off; {paths} keepalive_requests 100000000;
            server {{ listen 127.0.0.1:{ORIGIN} backlog=4096;
                location / {{ default_type text/plain; return 200 "hello, world"; }} }} }}""")
    nginx = subprocess.Popen(["nginx", "-c", configuration], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{ORIGIN}/", timeout=1).read()
            return nginx
        except OSError:
            if time.monotonic() > end:
                nginx.terminate()
                sys.exit(f"nginx does not answer on port {ORIGIN}")
            time.sleep(0.02)


URL = f"http://127.0.0.1:{ORIGIN}/"


def labctl_load():
    printed, cpu, _ = run([LABCTL, "load", "--url", URL, "--path", "/", "--rps", str(RATE),
                           "--for", f"{SECONDS}s", "--json"])
    summary = json.loads(printed)
    return summary["ok"], cpu, summary["lag_ms_p99"]


def wrk():
    printed, cpu, _ = run(["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", URL])
    return int(re.search(r"(\d+) requests in", printed).group(1)), cpu, None


def h2load():
    printed, cpu, _ = run(["h2load", "--h1", "-t1", f"-c{CONNECTIONS}", f"-D{SECONDS}",
                           f"--rps={RATE / CONNECTIONS}", URL])
    return int(re.search(r"(\d+) succeeded", printed).group(1)), cpu, None


def hey():
    printed, cpu, _ = run(["hey", "-z", f"{SECONDS}s", "-c", str(CONNECTIONS),
                           "-q", str(RATE / CONNECTIONS), URL])
    answered = sum(int(count) for count in re.findall(r"\[200\]\s+(\d+) responses", printed))
    return answered, cpu, None


def generator():
    """Measures the CPU time per request of each generator in turn, against the same origin."""
    rows = {"labctl load, open loop": labctl_load, "wrk, saturated": wrk,
            "h2load, paced": h2load, "hey, paced": hey}
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        nginx = origin(directory)
        try:
            taken = {name: [] for name in rows}
            for _ in range(ROUNDS):
                for name, generate in rows.items():
                    taken[name].append(generate())
        finally:
            nginx.terminate()
            nginx.wait()
    print("| generator | CPU per request | of wrk's | requests a second | late at p99 |")
    print("|---|---|---|---|---|")
    cost = {name: [cpu / requests * 1e6 for requests, cpu, _ in slices] for name, slices in taken.items()}
    for name, slices in taken.items():
        ratio = statistics.median(a / b for a, b in zip(cost[name], cost["wrk, saturated"]))
        rate = statistics.median(requests / SECONDS for requests, _, _ in slices)
        late = [late for _, _, late in slices if late is not None]
        late = f"{statistics.median(late):.2f} ms" if late else ""
        print(f"| {name} | {statistics.median(cost[name]):.1f} µs | {ratio:.2f} | {rate:.0f} | {late} |")


def judge():
    start = time.monotonic()
    _, _, memory = run(["target/release/examples/history_hot_path", "200000"])
    print(f"| a history of 200 000 operations over 100 keys is judged | {time.monotonic() - start:.1f} s, "
          f"{memory:.0f} MiB |")


def chapter(machines):
    """Returns a chapter with one balancer, one database, and web servers for the rest."""
    return f"""number = 1
title = "Many"
question = "How many?"
[machine.lb]
memory = "1GiB"
lb = {{ upstreams = "web" }}
[machine.web]
count = {machines - 2}
memory = "1GiB"
webserver = {{ db = "db" }}
[machine.db]
memory = "2GiB"
dbnode = {{ products = 10 }}
[traffic.users]
to = "lb"
path = "/healthz"
[[step]]
name = "look"
say = "One request a second."
load = {{ users = 1 }}
measure = "1s"
[[step.expect]]
claim = "It answers."
measure = "failed(look, users)"
equals = 0
"""


def cpu_seconds(pids):
    """Returns the CPU time of processes and all their threads, as the scheduler accounts for it."""
    total = 0
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            total += int(thread.read_text().split()[0])
    return total / 1e9


def machines():
    for count in (100, 200):
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory) / "many.toml"
            file.write_text(chapter(count))
            lab = ["--lab-dir", f"{directory}/lab", "--network", NETWORK]
            start = time.monotonic()
            run([LABCTL, "up", file, "--no-page", *lab])
            up = time.monotonic() - start
            try:
                state = json.loads(Path(f"{directory}/lab/state.json").read_text())
                groups = {machine["process"]["pid"] for machine in state["machines"]}
                pids = [int(path.name) for path in Path("/proc").glob("[0-9]*") if group(path) in groups]
                pids.append(state["keeper"]["pid"])
                before = cpu_seconds(pids)
                time.sleep(10)
                idle = (cpu_seconds(pids) - before) / 10
            finally:
                run([LABCTL, "down", *lab])
        print(f"| {count} machines, {len(pids)} processes: up after, and of one core when nothing is asked of them "
              f"| {up:.1f} s, {100 * idle:.0f} % |")


def group(path):
    try:
        return os.getpgid(int(path.name))
    except ProcessLookupError:
        return None


def chapters():
    with tempfile.TemporaryDirectory() as directory:
        start = time.monotonic()
        command = [LABCTL, "run", "article", "--quick", "--lab-dir", f"{directory}/lab",
                   "--runs-dir", f"{directory}/runs", "--network", NETWORK]
        code = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
        taken = time.monotonic() - start
    verdict = {0: "all hold", 1: "one fails", 3: "one could not be judged"}.get(code, f"ended with {code}")
    print(f"| `labctl run article --quick`, eleven chapters | {taken // 60:.0f} min {taken % 60:.0f} s, {verdict} |")


def main():
    known = {"generator": generator, "judge": judge, "machines": machines, "chapters": chapters}
    wanted = sys.argv[1:] or list(known)
    for name in wanted:
        if name not in known:
            sys.exit(f"'{name}' is not measured here; known are: {', '.join(known)}")
    # 200 machines need more sockets than the usual limit of one process.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for name in wanted:
        known[name]()
        sys.stdout.flush()


main()
