#!/usr/bin/env bash
# Mutation testing with handmade bugs, which the database's tests must find. Each bug in dbnode/tests/planted/bugs.toml
# is an edit that removes one safety rule. The edits go into a copy of the tree, so the product contains none of them.
#
#   scripts/planted.sh                all of them, with the tests that must find them
#   scripts/planted.sh --chaos        three of them, in real clusters under chaos (minutes)
#   scripts/planted.sh --list         lists them
#   scripts/planted.sh --show NAME    shows one as a patch; "… --show NAME | git apply" applies it here
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(--test simulation --test it)
case "${1:-}" in
    '') ;;
    --chaos) tests=(--test chaos) ;;
    *) exec python3 scripts/planted.py "$@" ;;
esac

python3 scripts/planted.py --copy
# Dependencies are built once for both trees. They must get the same features, so build the whole workspace.
where=(--manifest-path target/planted/Cargo.toml --target-dir target)
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --release --locked --no-fail-fast --run-ignored only "${where[@]}" --workspace "${tests[@]}" \
        -E 'package(=dbnode)'
else
    exec cargo test --release --locked --no-fail-fast "${where[@]}" --package dbnode "${tests[@]}" -- --test-threads 1 --ignored
fi
