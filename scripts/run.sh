#!/usr/bin/env bash
# Builds the lab and runs its chapters: all, or the named ones.
#
#   scripts/run.sh                 every chapter
#   scripts/run.sh one-machine     one of them; the arguments go to `labctl run`
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
want_redis

[ -x target/release/labctl ] || echo "building the lab: about ten minutes on two cores, the first time; then a chapter takes half a minute" >&2
# Builds only the programs that a chapter starts.
cargo build --release --locked --package machine --package lb --package webserver --package dbnode --package labctl --bins
verdict=0
target/release/labctl run "${@:-all}" || verdict=$?
# Hints are for people, not for CI or for programs that read the output.
if [ -t 1 ] && [ -z "${CI:-}" ]; then
    cat <<'NEXT'

What to try next:
  target/release/labctl list                              the other chapters
  target/release/labctl run split --predict               guess first, then see
  target/release/labctl up server-failure                 start it and leave it running: then load, kill, status, down
  target/release/labctl report runs/one-machine/latest    a page of a run, with curves
NEXT
fi
exit "$verdict"
