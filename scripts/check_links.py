"""Checks that every relative link in the project's Markdown files leads to an existing file, and that every source file
that they name in `code` exists in the project, by the end of its path."""

import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
listed = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=root, capture_output=True, text=True, check=True
)
files = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True, check=True
).stdout.split()
ends = {"/".join(parts[i:]) for parts in (name.split("/") for name in files) for i in range(len(parts))}
broken = []
for name in listed.stdout.split():
    text = (root / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (root / name).parent.joinpath(target).exists():
            broken.append(f"{name}: there is no {target}")
    # These describe the past, when a file may have had another name.
    if name == "CHANGELOG.md" or name.startswith("docs/decisions/"):
        continue
    for target in re.findall(r"`([\w./-]+\.(?:rs|py|sh))`", text):
        if target.removeprefix("./") not in ends:
            broken.append(f"{name}: there is no file {target}")
print("\n".join(broken) or "every link works, and every named file exists")
sys.exit(1 if broken else 0)
