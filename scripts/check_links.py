"""Checks that every relative link in the project's Markdown files leads to a file that is there."""

import pathlib
import re
import subprocess
import sys

root = pathlib.Path(__file__).resolve().parent.parent
listed = subprocess.run(
    ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=root, capture_output=True, text=True, check=True
)
broken = []
for name in listed.stdout.split():
    text = (root / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", text):
        if not re.match(r"[a-z]+:", target) and not (root / name).parent.joinpath(target).exists():
            broken.append(f"{name}: there is no {target}")
print("\n".join(broken) or "every link leads somewhere")
sys.exit(1 if broken else 0)
