"""Runs chapters repeatedly under noise, and counts how often each claim held. See stress.sh."""

import argparse
import collections
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
BROKEN = ROOT / "tests/chapters/broken"
NOISES = ("none", "busy", "pauses", "memory", "disk")
VERDICTS = ("holds", "inconclusive", "fails")
# Longer than any chapter takes, with all its attempts.
PATIENCE = 600

# A noise process that ends with this script, however that ends.
ORPHAN = "import os, sys, time\nparent = os.getppid()\ngone = lambda: os.getppid() != parent\n"
BUSY = ORPHAN + "while not gone():\n    sum(range(100000))\n"
MEMORY = ORPHAN + """
chunk = os.urandom(1 << 20)
while not gone():
    with open(sys.argv[1] + "/dirty", "wb") as file:
        for _ in range(256):
            file.write(chunk)
            if gone(): break
    time.sleep(0.1)
"""
DISK = ORPHAN + """
file = os.open(sys.argv[1] + f"/storm-{os.getpid()}", os.O_WRONLY | os.O_CREAT)
while not gone():
    os.pwrite(file, os.urandom(4096), 4096 * (os.getpid() % 64))
    os.fsync(file)
"""


def processes_below(pid):
    """Returns a process and all its descendants."""
    children = collections.defaultdict(list)
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            children[int(stat.rpartition(")")[2].split()[1])].append(int(entry.name))
    found, left = [], [pid]
    while left:
        found.append(left.pop())
        left += children[found[-1]]
    return found


def send(pids, number):
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


class Pauses:
    """Suspends a whole lab now and then, labctl first, for 0.2 to 4 seconds, like a closed laptop."""

    def __init__(self, pid, dice):
        self.stop, self.count = threading.Event(), 0
        self.thread = threading.Thread(target=self.run, args=(pid, dice))
        self.thread.start()

    def run(self, pid, dice):
        while not self.stop.wait(dice.uniform(4, 20)):
            send([pid], signal.SIGSTOP)
            # What a chapter has frozen on purpose stays frozen.
            lab = [one for one in processes_below(pid) if one == pid or not is_stopped(one)]
            send(lab, signal.SIGSTOP)
            self.count += 1
            self.stop.wait(dice.uniform(0.2, 4))
            send(reversed(lab), signal.SIGCONT)

    def end(self):
        self.stop.set()
        self.thread.join()


def is_stopped(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


class Noise:
    """Noise of one kind for the duration of a run."""

    def __init__(self, kind, directory, cores):
        programs = {"busy": [BUSY] * cores, "memory": [MEMORY], "disk": [DISK, DISK]}.get(kind, [])
        self.processes = [
            subprocess.Popen([sys.executable, "-c", program, directory], stdin=subprocess.DEVNULL)
            for program in programs
        ]

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()


def run_once(options, chapter, settings, kind, seed):
    """Runs a chapter once under noise. Returns its exit code and, if there is one, its summary."""
    with tempfile.TemporaryDirectory(prefix="stress-", dir=options.directory) as place:
        words = [options.programs / "labctl", "run", chapter, "--json", "--seed", str(seed)]
        words += ["--attempts", str(options.attempts), "--network", options.network]
        words += [] if options.normal else ["--quick"]
        words += [word for setting in settings for word in ("--set", setting)]
        noise = Noise(kind, place, options.cores)
        try:
            with open(f"{place}/told", "wb") as told:
                labctl = subprocess.Popen(words, cwd=place, stdout=subprocess.PIPE, stderr=told)
            pauses = Pauses(labctl.pid, random.Random(seed)) if kind == "pauses" else None
            try:
                output, _ = labctl.communicate(timeout=PATIENCE)
            finally:
                if pauses:
                    pauses.end()
                if labctl.poll() is None:
                    # It shuts its machines down first.
                    labctl.send_signal(signal.SIGTERM)
                    labctl.communicate()
        finally:
            noise.end()
        summary = json.loads(output)["runs"][0] if output.strip() else None
        if options.keep and labctl.returncode in options.keep_codes:
            kept = pathlib.Path(options.keep) / f"{chapter}-{kind}-{seed}-{labctl.returncode}"
            shutil.copytree(place, kept, dirs_exist_ok=True)
        return labctl.returncode, summary


def set_ups(chapter):
    return tomllib.loads((BROKEN / f"{chapter}.toml").read_text())["set-up"]


def rounds(options):
    """Yields runs until the wanted time or count is reached: round, chapter, set-up, kind of noise, and seed."""
    end = time.monotonic() + options.minutes * 60 if options.minutes else None
    seed = options.seed
    for number in range(options.count if options.count else 1 << 30):
        for chapter in options.chapters:
            kind = options.noise[number % len(options.noise)]
            for broken in set_ups(chapter) if options.broken else [{"why": "", "set": []}]:
                if end and time.monotonic() > end:
                    return
                yield number, chapter, broken, kind, seed
                seed += 1


def known_chapters(options):
    listed = subprocess.run([options.programs / "labctl", "list", "--json"], capture_output=True, check=True)
    return [chapter["name"] for chapter in json.loads(listed.stdout)["chapters"]]


def parse():
    parser = argparse.ArgumentParser(prog="scripts/stress.sh", description=__doc__)
    comma = lambda text: text.split(",")
    parser.add_argument("--chapters", type=comma, help="names, separated by commas [default: all]")
    parser.add_argument("--noise", type=comma, default=["busy"], help=f"of {', '.join(NOISES)}; or all, in turn")
    parser.add_argument("--cores", type=int, default=1, help="busy cores [default: 1]")
    parser.add_argument("--count", type=int, help="how often each chapter is run")
    parser.add_argument("--minutes", type=float, help="for how long new runs are started")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run; each run has another one")
    parser.add_argument("--attempts", type=int, default=2, help="as in labctl run [default: 2]")
    parser.add_argument("--normal", action="store_true", help="measure as long as the chapter says, not half as long")
    parser.add_argument("--broken", action="store_true", help="run the set-ups that are broken on purpose")
    parser.add_argument("--network", default="127.87", help="network of the labs [default: 127.87]")
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "target/release")
    parser.add_argument("--directory", help="where labs and noise write [default: a temporary one]")
    parser.add_argument("--keep", metavar="DIR", help="keep the files of runs that ended with --keep-codes")
    parser.add_argument("--keep-codes", type=lambda text: [int(code) for code in text.split(",")], default=[1, 5])
    options = parser.parse_args()
    options.noise = NOISES[1:] if options.noise == ["all"] else options.noise
    if unknown := set(options.noise) - set(NOISES):
        parser.error(f"there is no noise {unknown}")
    if not options.count and not options.minutes:
        parser.error("say how often (--count) or how long (--minutes)")
    options.programs = options.programs.resolve()
    known = known_chapters(options)
    options.chapters = options.chapters or known
    if unknown := set(options.chapters) - set(known):
        parser.error(f"there is no chapter {unknown}; known are {', '.join(known)}")
    if options.broken:
        # A failure should show, not be retried.
        options.attempts = 1
    return options


def told(options, chapter, kind, seed, code, summary, took, why):
    verdict = summary["verdict"] if summary else "no result"
    attempt = summary["set_up"]["attempt"] if summary else "-"
    print(f"{chapter:16} {kind:7} seed {seed:<4} {verdict:12} exit {code}, attempt {attempt}, {took:.0f} s  {why}", flush=True)
    for claim in summary["claims"] if summary else []:
        # In a broken set-up, failures are expected.
        if claim["verdict"] != "holds" and not options.broken:
            print(f"    {claim['verdict']}: {claim['step']}: {claim['claim']}")
            print(f"        measured {claim['measured']} in {claim['bound']}; {claim['because']}", flush=True)


def table(counts, heading):
    print(f"\n{heading:98} holds  inconclusive  fails")
    for (chapter, step, claim), verdicts in sorted(
        counts.items(), key=lambda one: (-one[1]["fails"], -one[1]["inconclusive"], one[0])
    ):
        if verdicts["fails"] or verdicts["inconclusive"]:
            name = f"{chapter}, {step}: {claim}"[:98]
            print(f"{name:98} {verdicts['holds']:5}  {verdicts['inconclusive']:12}  {verdicts['fails']:5}")
    whole = sum(1 for verdicts in counts.values() if not verdicts["fails"] and not verdicts["inconclusive"])
    print(f"{whole} of {len(counts)} claims held each time.")


def main():
    options = parse()
    claims, runs = (collections.defaultdict(collections.Counter) for _ in range(2))
    failed_in_round, exits = collections.defaultdict(set), collections.Counter()
    try:
        for number, chapter, broken, kind, seed in rounds(options):
            began = time.monotonic()
            code, summary = run_once(options, chapter, broken["set"], kind, seed)
            told(options, chapter, kind, seed, code, summary, time.monotonic() - began, broken["why"][:60])
            exits[code] += 1
            runs[chapter][summary["verdict"] if summary else f"exit {code}"] += 1
            failed_in_round[number, chapter] |= set()
            for claim in summary["claims"] if summary else []:
                name = (chapter, claim["step"], claim["claim"])
                claims[name][claim["verdict"]] += 1
                if claim["verdict"] == "fails" and claim["measured"] is not None:
                    failed_in_round[number, chapter].add(name)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    return broken_report(claims, failed_in_round) if options.broken else report(claims, runs, exits)


def report(claims, runs, exits):
    table(claims, "claims that did not always hold")
    print()
    for chapter, verdicts in runs.items():
        print(f"{chapter:16} " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
    print("all: " + ", ".join(f"{count} exit {code}" for code, count in sorted(exits.items())))
    return 1 if any(code not in (0, 3) for code in exits) else 0


def broken_report(claims, failed_in_round):
    """Checks that each claim failed in one of the broken set-ups of its chapter, in each round."""
    print(f"\n{'claims that survived all broken set-ups of a round':98} rounds")
    survived = collections.Counter()
    for (_, chapter), failed in failed_in_round.items():
        survived.update(name for name in claims if name[0] == chapter and name not in failed)
    for (chapter, step, claim), count in survived.most_common():
        print(f"{f'{chapter}, {step}: {claim}'[:98]:98} {count:6}")
    print(f"{len(claims) - len(survived)} of {len(claims)} claims failed in each round.")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
