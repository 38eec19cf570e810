#!/usr/bin/env bash
# Every test there is: the gate, the parts by themselves, the parts together, the chapters.
#
#   scripts/test.sh            all of it
#   scripts/test.sh --parts    without the chapters
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need_redis

scripts/check.sh

run_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --release --locked --no-fail-fast "$@"
    else
        cargo test --release --locked --no-fail-fast "$@" -- --test-threads 1
    fi
}

echo "== the database, and bugs put in on purpose that its tests have to find"
run_tests --package dbnode --features planted-bugs

echo "== the lab's programs"
cargo build --release --locked --bins

echo "== the other parts, each by itself"
run_tests --workspace --exclude tests --exclude dbnode

[ "${1:-}" = "--parts" ] && exit
echo "== the parts together, and the chapters"
run_tests --package tests
echo "== the article, sentence by sentence"
scripts/claims.sh

echo "== the lab in containers"
if docker info >/dev/null 2>&1; then
    scripts/images.sh
    # They are ignored otherwise, because not every computer has an engine.
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --release --locked --no-fail-fast --package tests --test compose --run-ignored only
    else
        cargo test --release --locked --no-fail-fast --package tests --test compose -- --ignored --test-threads 1
    fi
elif [ -n "${CI:-}" ] && command -v docker >/dev/null; then
    echo "docker is here, but its engine does not answer: the tests in containers are required" >&2
    exit 4
else
    echo "SKIPPED: the tests in containers, because there is no Docker engine (they are counted above as skipped)" >&2
fi
