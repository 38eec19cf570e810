#!/usr/bin/env bash
# Breaks a database cluster of three real processes while clients use it, on a schedule from a seed: kill, freeze, cut
# off, half-deaf, full disks, lost directories, old copies. Then what was promised must hold.
#
#   scripts/chaos.sh                      20 s of a seed that is drawn
#   scripts/chaos.sh 42                   20 s of this one
#   scripts/chaos.sh 42 600               ten minutes of it
#   scripts/chaos.sh 42 600 sync          in this mode; the seed says which, otherwise
set -euo pipefail
cd "$(dirname "$0")/.."

[ -z "${1:-}" ] || export CHAOS_SEED="$1"
[ -z "${2:-}" ] || export CHAOS_SECONDS="$2"
[ -z "${3:-}" ] || export CHAOS_MODE="$3"
exec cargo test --release --locked --package dbnode --test chaos -- \
    --exact --nocapture what_was_promised_holds_whatever_happens_to_the_processes
