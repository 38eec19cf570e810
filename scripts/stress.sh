#!/usr/bin/env bash
# Runs chapters repeatedly under noise, reports how often each claim held, and names the weakest.
#
#   scripts/stress.sh --noise busy --count 20
#   scripts/stress.sh --chapters replication,cache --noise pauses,disk --minutes 30
#   scripts/stress.sh --broken --noise busy       set-ups broken on purpose, which must keep failing
#   scripts/stress.sh --help
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need python3 python3 python3 python3
need_redis
[ -x target/release/labctl ] || cargo build --release --locked --bins
exec python3 scripts/stress.py "$@"
