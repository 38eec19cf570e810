"""Writes docs/parts.md from the measurements of scripts/parts.sh: parts.py DIRECTORY."""
import datetime, json, pathlib, sys

MARKS = {"holds": "✓", "fails": "✗", "inconclusive": "?", "skipped": "–"}


def figure(value):
    return "" if value is None else f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cell(claim):
    mark = MARKS[claim["verdict"]]
    shown = figure(claim["measured"])
    return f"{mark} {shown}{claim['unit']}".strip() if shown else mark


def claims(run):
    return {(claim["step"], claim["claim"]): claim for claim in run["claims"]}


def count(run, verdict):
    return sum(claim["verdict"] == verdict for claim in run["claims"])


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(header, rows):
    return "\n".join([row(header), row(["---"] * len(header)), *map(row, rows)]) + "\n"


def verdicts(runs, names):
    rows = []
    for chapter in runs[names[0]]:
        cells = []
        for name in names:
            run = runs[name].get(chapter)
            kinds = ["holds", "fails", "inconclusive", "skipped"]
            cells.append(", ".join(f"{count(run, kind)} {MARKS[kind]}" for kind in kinds if count(run, kind)) if run else "left out")
        rows.append([chapter, *cells])
    return table(["chapter", *names], rows)


def chapter_table(runs, names, chapter):
    found = {name: claims(runs[name][chapter]) for name in names if chapter in runs[name]}
    rows = []
    for key, claim in claims(runs[names[0]][chapter]).items():
        cells = [cell(found[name][key]) if key in found.get(name, {}) else "" for name in names]
        rows.append([claim["step"], claim["claim"], *cells])
    return table(["step", "claim", *names], rows)


def filled_table(run, title):
    tables = [filled for filled in run.get("tables", []) if filled["title"] == title]
    return tables[0] if tables else {"columns": [], "rows": []}


def detections(runs, names):
    found = {name: filled_table(runs[name].get("server-failure", {}), "Seconds until the server was out") for name in names}
    rows = []
    for trouble, _ in found[names[0]]["rows"]:
        for name in names:
            figures = dict(found[name]["rows"]).get(trouble, [])
            rows.append([trouble, name, *[figure(value) or "–" for value in figures]])
    return table(["trouble", "balancer", *found[names[0]]["columns"]], rows)


def reasons(runs, names):
    lines = []
    for name in names:
        skipped = {claim["because"] for run in runs[name].values() for claim in run["claims"] if claim["verdict"] == "skipped"}
        lines += [f"- {name}: {reason}." for reason in sorted(skipped)]
    return "\n".join(lines)


def load(directory, names):
    documents = {name: json.loads((directory / f"{name}.json").read_text()) for name in names}
    return {name: {run["chapter"]: run for run in document["runs"]} for name, document in documents.items()}


def measured(run):
    day = datetime.datetime.fromisoformat(run["began"].replace("Z", "+00:00")).date()
    return f"Measured on {day}, on a computer with {run['set_up']['host_cores']} cores, pace {run['pace']}."


def limits(parts, names):
    return [f"- {name}: {limit}" for name in names for limit in parts.get(name, {}).get("limits", [])]


def balancers(directory, names, parts):
    runs = load(directory, names)
    if "balancer" in names:
        print("*balancer* is [examples/balancer.py](../examples/balancer.py).\n")
    print(measured(next(iter(runs["lab"].values()))), "Each figure is one run's: the")
    print("next one differs. Capacities are those of the emulated machines, not of the balancers.\n")
    versions = [[name, parts[name]["version"] or "", parts[name]["title"]] for name in names if name in parts]
    print(table(["balancer", "version", "program"], versions))
    print("## Verdicts\n")
    print(verdicts(runs, names))
    print("## Seconds until a server was out\n")
    print("By the balancers of server-failure: one that only connects, one that asks, one that counts failures, one that does all of")
    print("it and tries elsewhere. – means that it was not taken out, or that nobody was told.\n")
    print(detections(runs, names))
    for chapter in runs["lab"]:
        print(f"## {chapter}\n")
        print(chapter_table(runs, names, chapter))
    print("## What was skipped, and why\n")
    print(reasons(runs, names) + "\n")
    print("## To know when reading the figures\n")
    print("\n".join(limits(parts, names)))


def databases(directory, names, parts):
    runs = {name.removeprefix("db-"): runs for name, runs in load(directory, names).items()}
    names = list(runs)
    print("\n# Other databases, measured\n")
    print(measured(next(iter(runs[names[0]].values()))), "*lab* is the lab's own `dbnode`; the")
    print("others are behind an adapter that speaks the contract for them. What an")
    print("adapter does not reach is at the end: read it before the ✗.\n")
    versions = [[name, parts[name]["version"] or "", parts[name]["title"]] for name in names if name in parts]
    print(table(["database", "version", "program"], versions))
    print("## Verdicts about databases\n")
    print(verdicts(runs, names))
    for chapter in runs[names[0]]:
        print(f"## {chapter}\n")
        print(chapter_table(runs, names, chapter))
    print("## What was skipped of databases, and why\n")
    print(reasons(runs, names) + "\n")
    print("## To know when reading the figures of databases\n")
    print("\n".join(limits(parts, names)))


def main():
    directory = pathlib.Path(sys.argv[1])
    found = sorted(path.stem for path in directory.glob("*.json"))
    first = lambda own, names: [own] + [name for name in names if name != own]
    parts = {part["name"]: part for part in json.loads((directory / "parts").read_text())["parts"]}
    print("# Other balancers, measured\n")
    print("`scripts/parts.sh` wrote this page. It runs three chapters over each balancer: *lab* is the lab's own `lb`, the others")
    print("are the real programs, configured by the flags of the chapter's balancers. ✓ holds, ✗ fails, ? the computer was too busy")
    print("to say, – skipped: it cannot do that.\n")
    balancers(directory, first("lab", [name for name in found if not name.startswith("db-")]), parts)
    of_databases = [name for name in found if name.startswith("db-")]
    if "db-lab" in of_databases:
        databases(directory, first("db-lab", of_databases), parts)


main()
