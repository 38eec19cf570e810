#!/usr/bin/env bash
# Builds the lab and runs its chapters: all of them, or those that are named.
#
#   scripts/run.sh                 every chapter
#   scripts/run.sh one-machine     one of them; further words go to `labctl run`
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
want_redis

cargo build --release --locked --bins
exec target/release/labctl run "${@:-all}"
