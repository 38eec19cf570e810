#!/usr/bin/env bash
# Runs three chapters over every balancer that is installed, and three over every database, and writes the measured
# results to docs/parts.md.
#
#   scripts/parts.sh                   the lab's own, HAProxy, nginx, Caddy, Envoy, Traefik,
#                                      examples/balancer.py;
#                                      PostgreSQL, Redis, Redis with Sentinels, etcd
#   scripts/parts.sh haproxy db=etcd   only these, besides the lab's own
#
# PACE=quick measures half as long. A part takes about two minutes. Parts that are not installed are skipped with a
# message. `labctl parts --install NAME` installs one: haproxy, nginx, caddy, envoy, traefik, postgres, redis (for
# redis-sentinel, too) or etcd.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need python3 python3 python3 python3

programs=${PROGRAMS:-target/release}
[ -x "$programs/labctl" ] || {
    echo "there is no labctl in $programs: cargo build --release, or say where it is: PROGRAMS=target/debug" >&2
    exit 4
}
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(haproxy nginx caddy envoy traefik ./examples/balancer.py db=postgres db=redis db=redis-sentinel db=etcd)

results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
run() {
    local name=$1 code=0 chapters=(more-servers server-failure load-balancer)
    shift
    case $name in db-*) chapters=(replication primary-failure split-brain) ;; esac
    echo "running $name" >&2
    "$programs/labctl" run "${chapters[@]}" --json --lab-dir "$results/lab" ${PACE:+--$PACE} \
        --runs-dir "$results/runs" "$@" >"$results/$name.json" 2>"$results/$name.log" || code=$?
    # 1 and 3 are results as well: a claim failed, or was not judged.
    case $code in
        0 | 1 | 3) ;;
        *)
            echo "$name is left out: $(tail -n 1 "$results/$name.log")" >&2
            rm "$results/$name.json"
            ;;
    esac
}
run lab
run db-lab
for part in "${parts[@]}"; do
    case $part in
        db=*) run "db-${part#db=}" --part "$part" ;;
        *) run "$(basename "$part" .py)" --part "lb=$part" ;;
    esac
done
"$programs/labctl" parts --json >"$results/parts"
python3 scripts/parts.py "$results" >docs/parts.md
echo "docs/parts.md is written" >&2
