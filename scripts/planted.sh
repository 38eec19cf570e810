#!/usr/bin/env bash
# Bugs put in on purpose, which the database's tests have to find. They are in dbnode/tests/planted/bugs.toml, each an
# edit that takes one safety rule away, and go into a copy of the tree: the product has none of them.
#
#   scripts/planted.sh                all of them, by what has to find them
#   scripts/planted.sh --chaos        three of them, in real clusters under chaos (minutes)
#   scripts/planted.sh --list         what there is
#   scripts/planted.sh --show NAME    one, as a patch: "… --show NAME | git apply" puts it in here
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(--test simulation --test it)
case "${1:-}" in
    '') ;;
    --chaos) tests=(--test chaos) ;;
    *) exec python3 scripts/planted.py "$@" ;;
esac

python3 scripts/planted.py --copy
# What does not belong to this workspace is built once for both trees: with the same features, so out of the whole
# workspace.
where=(--manifest-path target/planted/Cargo.toml --target-dir target)
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --release --locked --no-fail-fast --run-ignored only "${where[@]}" --workspace "${tests[@]}" \
        -E 'package(=dbnode)'
else
    exec cargo test --release --locked --no-fail-fast "${where[@]}" --package dbnode "${tests[@]}" -- --test-threads 1 --ignored
fi
