#!/usr/bin/env bash
# Breaks a database cluster of three real processes while clients use it, on a schedule drawn from a seed: kills,
# freezes, cuts, one-way cuts, full disks, lost directories, restored old copies. Then everything that was promised must
# hold.
#
#   scripts/chaos.sh                      20 s with a random seed
#   scripts/chaos.sh 42                   20 s with this seed
#   scripts/chaos.sh 42 600               ten minutes with this seed
#   scripts/chaos.sh 42 600 sync          in this mode; by default, the seed chooses one
set -euo pipefail
cd "$(dirname "$0")/.."

[ -z "${1:-}" ] || export CHAOS_SEED="$1"
[ -z "${2:-}" ] || export CHAOS_SECONDS="$2"
[ -z "${3:-}" ] || export CHAOS_MODE="$3"
exec cargo test --release --locked --package dbnode --test chaos -- \
    --exact --nocapture what_was_promised_holds_whatever_happens_to_the_processes
