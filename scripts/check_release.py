"""Checks the output of scripts/release.sh, or, before that, that the sources are consistent about the release:

    scripts/check_release.py --sources
    scripts/check_release.py target/release-VERSION
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tarfile
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The packages whose programs are released, as in scripts/release.sh.
PACKAGES = ("labctl", "lb", "webserver", "dbnode", "machine", "part")
VERSION = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
# The installed files besides programs and documents.
COMPLETIONS = (
    "share/bash-completion/completions/labctl",
    "share/zsh/vendor-completions/_labctl",
    "share/fish/vendor_completions.d/labctl.fish",
)

wrong = []


def expect(right, what):
    if not right:
        wrong.append(what)


def metadata(package):
    return tomllib.loads((ROOT / package / "Cargo.toml").read_text())["package"].get("metadata", {})


def programs(package):
    """Returns the programs of a package by cargo's rules: src/main.rs has its name, and src/bin/NAME.rs that of the file."""
    source = ROOT / package / "src"
    named = [package] if (source / "main.rs").exists() else []
    return named + sorted(path.stem for path in (source / "bin").glob("*.rs"))


def expanded(template, target, program):
    """Fills in the variables of a cargo-binstall template."""
    values = {"version": VERSION, "target": target, "bin": program, "repo": "REPOSITORY"}
    return re.sub(r"\{ (\w+) \}", lambda found: values[found[1]], template)


def check_sources():
    changelog = (ROOT / "CHANGELOG.md").read_text()
    dated = rf"^## \[{re.escape(VERSION)}\] - \d{{4}}-\d\d-\d\d$"
    expect(re.search(dated, changelog, re.MULTILINE), f"CHANGELOG.md has no section ## [{VERSION}] - YYYY-MM-DD")
    stability = (ROOT / "docs/stability.md").read_text()
    expect(f"The version is {VERSION}," in stability, f"docs/stability.md does not say that the version is {VERSION}")
    kustomization = (ROOT / "deploy/k8s/kustomization.yaml").read_text()
    expect(f"newTag: {VERSION}\n" in kustomization, f"deploy/k8s/kustomization.yaml does not ask for {VERSION}")
    for name in ("docs/kubernetes.md", "docs/install.md"):
        for other in set(re.findall(r"\b0\.\d+\.\d+\b", re.sub(r"\d+(\.\d+){3}", "", (ROOT / name).read_text()))) - {VERSION}:
            expect(False, f"{name} names the version {other}")
    built = [
        set(re.findall(r"--package (\w+)", (ROOT / name).read_text()))
        for name in ("scripts/run.sh", "examples/classroom/.github/workflows/grade.yml")
    ]
    expect(built[0] == built[1], f"a class builds {sorted(built[1])}, but labctl needs {sorted(built[0])} beside it")
    for package in PACKAGES:
        binstall = metadata(package).get("binstall", {})
        expect({"pkg-url", "bin-dir", "pkg-fmt"} <= set(binstall), f"{package}/Cargo.toml has nothing for cargo-binstall")
        expect(programs(package), f"{package} has no programs")


def check_binstall(archive, target, members):
    """Checks that every program is where cargo-binstall looks for it."""
    for package in PACKAGES:
        binstall = metadata(package)["binstall"]
        url = expanded(binstall["pkg-url"], target, "")
        expect(url.endswith(f"/{archive.name}"), f"cargo-binstall of {package} asks for {url}, not for {archive.name}")
        for program in programs(package):
            path = expanded(binstall["bin-dir"], target, program)
            there = members.get(path)
            expect(there and there.isfile() and there.mode == 0o755, f"cargo-binstall finds no program {path}")


def check_archive(archive):
    target = archive.name.removeprefix(f"scaling-lab-{VERSION}-").removesuffix(".tar.gz")
    top = archive.name.removesuffix(".tar.gz")
    with tarfile.open(archive) as tar:
        members = {member.name: member for member in tar}
        texts = {name: tar.extractfile(f"{top}/{name}").read().decode() for name in COMPLETIONS if f"{top}/{name}" in members}
    check_binstall(archive, target, members)
    expect(all(name.split("/")[0] == top for name in members), f"{archive.name} has more than one directory")
    labctl = members.get(f"{top}/bin/labctl")
    expect(labctl and labctl.linkname == "../lib/scaling-lab/labctl", f"{archive.name} has no bin/labctl")
    for name in ("labctl", "labctl-run", "labctl-up"):
        expect(f"{top}/share/man/man1/{name}.1" in members, f"{archive.name} has no page man {name}")
    for name in COMPLETIONS:
        expect("COMPLETE" in texts.get(name, ""), f"{archive.name}: {name} does not complete")
        expect("/" not in "".join(re.findall(r"\S*/labctl\b", texts.get(name, ""))), f"{name} asks the labctl of a build")


def check_package(package):
    fields = subprocess.run(["dpkg-deb", "--field", package], capture_output=True, text=True, check=True).stdout
    for line in (f"Version: {VERSION}", "Package: scaling-lab"):
        expect(f"{line}\n" in fields, f"{package.name} does not say {line}")
    expect(re.search(r"^Depends: .*libc6 \(>= 2\.", fields, re.MULTILINE), f"{package.name} depends on no C library")
    listed = subprocess.run(["dpkg-deb", "--contents", package], capture_output=True, text=True, check=True).stdout
    paths = {line.split()[5].removeprefix("."): line.split()[0] for line in listed.splitlines()}
    wanted = [f"/usr/lib/scaling-lab/{program}" for name in PACKAGES for program in programs(name)]
    wanted += ["/usr/bin/labctl", "/usr/share/man/man1/labctl.1.gz", "/usr/share/doc/scaling-lab/copyright"]
    for path in wanted + [f"/usr/{name}" for name in COMPLETIONS]:
        expect(path in paths, f"{package.name} has no {path}")
    for program in wanted[:7]:
        expect(paths.get(program, "").startswith("-rwxr-xr-x"), f"{program} is no program")


def check_bill(path):
    text = path.read_text()
    expect(str(ROOT) not in text, f"{path.name} says where it was built: {ROOT}")
    bill = json.loads(text)
    expect(bill["bomFormat"] == "CycloneDX", f"{path.name} is no bill of materials")
    expect(bill["metadata"]["component"]["version"] == VERSION, f"{path.name} is about another version")
    crates = [part for part in bill["components"] if not part["purl"].startswith("pkg:cargo/") or "licenses" not in part]
    expect(bill["components"], f"{path.name} names no crate")
    expect(not crates, f"{path.name}: no licence or name of {[part['name'] for part in crates]}")


def check_release(directory):
    archives = sorted(directory.glob(f"scaling-lab-{VERSION}-*.tar.gz"))
    expect(archives, f"{directory} has no archive of {VERSION}")
    for archive in archives:
        check_archive(archive)
    for package in directory.glob("*.deb"):
        check_package(package)
    for path in directory.glob("*.cdx.json"):
        check_bill(path)
    sums = dict(reversed(line.split("  ")) for line in (directory / "SHA256SUMS").read_text().splitlines())
    files = {path.name for path in directory.iterdir()} - {"SHA256SUMS"}
    expect(set(sums) == files, f"SHA256SUMS is about {sorted(sums)}, and there are {sorted(files)}")
    for name in files & set(sums):
        found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        expect(found == sums[name], f"{name} has another checksum")


check_sources()
match sys.argv[1:]:
    case ["--sources"]:
        pass
    case [directory]:
        check_release(pathlib.Path(directory))
    case _:
        sys.exit(__doc__)
print("\n".join(wrong) or f"release {VERSION}: all is as it should be")
sys.exit(1 if wrong else 0)
