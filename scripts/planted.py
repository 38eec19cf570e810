"""Puts the bugs of dbnode/tests/planted/bugs.toml into a copy of the tree: see planted.sh."""

import difflib
import pathlib
import re
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLANTED = ROOT / "dbnode" / "tests" / "planted"
SOURCE = ROOT / "dbnode" / "src"
TREE = ROOT / "target" / "planted"
# Another name for the program, so that the product's program in the same target directory stays untouched.
PROGRAM = "dbnode-planted"
# Cargo distinguishes packages of two workspaces by version, not by path: with equal versions, each tree would overwrite
# the other's build.
VERSIONED = ("Cargo.toml", "Cargo.lock")


def fail(why):
    sys.exit(f"planted: {why}")


def edited(text, edit, condition, where):
    """Applies an edit under a condition; without one, as if the condition were always true."""
    has = edit["has"]
    at = edit.get("at", has)
    if text.count(at) != 1 or at.count(has) != 1:
        fail(f"{where}: {edit['file']} has this {text.count(at)} times, and not once: {at}")
    if "bug" in edit:
        put = edit["bug"] if condition is None else f"(if {condition} {{ {edit['bug']} }} else {{ {has} }})"
    elif "before" in edit:
        before = edit["before"]
        if condition is None:
            before = before.replace("PLANTED && ", "").replace("if PLANTED ", "")
        put = before.replace("PLANTED", condition or "") + " " + has
    else:
        put = edit["text"]
        if condition is None:
            put = put.replace(" || PLANTED", " || true").replace("!PLANTED", "false").replace("if PLANTED ", "")
        put = put.replace("PLANTED", condition or "")
    return text.replace(at, at.replace(has, put))


def with_bugs(bugs, condition):
    """Returns the edited files by path in dbnode/src."""
    texts = {}
    for name, bug in bugs.items():
        for edit in bug["edits"]:
            file = edit["file"]
            before = texts.get(file) or (SOURCE / file).read_text()
            texts[file] = edited(before, edit, condition(name), name)
    return texts


def show(name, bug):
    print(f"{name}: {bug['rule']}\n")
    for file, text in with_bugs({name: bug}, lambda _: None).items():
        path = f"dbnode/src/{file}"
        lines = (SOURCE / file).read_text().splitlines(True), text.splitlines(True)
        sys.stdout.writelines(difflib.unified_diff(*lines, f"a/{path}", f"b/{path}"))


def write(path, text):
    """Writes a file only if it has changed, so that cargo does not rebuild it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def of_another_version(text, version):
    """Marks the versions of the workspace's own packages, which have no source in the lock file."""
    return re.sub(rf'^version = "{re.escape(version)}"$(?!\nsource)', f'version = "{version}-planted"', text, flags=re.MULTILINE)


def copy(bugs):
    TREE.mkdir(parents=True, exist_ok=True)
    for entry in ROOT.iterdir():
        link = TREE / entry.name
        if entry.name not in {".git", "target", "dbnode", "runs", *VERSIONED} and not link.is_symlink():
            link.symlink_to(entry)
    version = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    for name in VERSIONED:
        write(TREE / name, of_another_version((ROOT / name).read_text(), version))
    texts = with_bugs(bugs, lambda name: f'crate::planted::is("{name}")')
    wanted = {pathlib.Path("src/planted.rs"): (PLANTED / "switch.rs").read_text()}
    for source in (ROOT / "dbnode").rglob("*"):
        path = source.relative_to(ROOT / "dbnode")
        if source.suffix not in {".rs", ".toml", ".txt"} or path.parts[:2] == ("tests", "planted"):
            continue
        text = texts.get(str(path.relative_to("src"))) if path.parts[0] == "src" else None
        wanted[path] = text or source.read_text().replace("CARGO_BIN_EXE_dbnode", f"CARGO_BIN_EXE_{PROGRAM}")
    first = "/// How clients speak to the node."
    only_once(wanted, "src/lib.rs", first, f"#![allow(unused_parens)]\n\n{first}")
    only_once(wanted, "src/lib.rs", "/// How nodes reach each other.", "pub mod planted;\n/// How nodes reach each other.")
    only_once(
        wanted,
        "tests/simulation/planted.rs",
        "assert_eq!(bug, None, \"this tree has no bugs: see scripts/planted.sh\")",
        "dbnode::planted::plant(bug)",
    )
    program = f'[[bin]]\nname = "{PROGRAM}"\npath = "src/main.rs"\n\n[lib]'
    only_once(wanted, "Cargo.toml", "publish.workspace = true\n", "publish.workspace = true\nautobins = false\n")
    only_once(wanted, "Cargo.toml", "[lib]", program)
    for path, text in wanted.items():
        write(TREE / "dbnode" / path, text)
    for there in (TREE / "dbnode").rglob("*.rs"):
        if there.relative_to(TREE / "dbnode") not in wanted:
            there.unlink()


def only_once(wanted, path, has, put):
    path = pathlib.Path(path)
    if wanted[path].count(has) != 1:
        fail(f"dbnode/{path} has this {wanted[path].count(has)} times, and not once: {has}")
    wanted[path] = wanted[path].replace(has, put)


def main():
    bugs = tomllib.loads((PLANTED / "bugs.toml").read_text())
    match sys.argv[1:]:
        case ["--list"]:
            width = max(map(len, bugs))
            for name, bug in bugs.items():
                print(f"{name:{width}}  {bug['rule']}")
        case ["--show", name] if name in bugs:
            show(name, bugs[name])
        case ["--show", name]:
            fail(f"there is no bug {name}; --list lists them")
        case ["--check"]:
            with_bugs(bugs, lambda name: name)
        case ["--copy"]:
            copy(bugs)
        case _:
            fail("--list, --show NAME, --check or --copy")


main()
