#!/usr/bin/env bash
# Simulates whole database clusters: after a phase of faults and one of healing, everything that was promised must hold.
#
#   scripts/simulate.sh             10 000 seeds from 1
#   scripts/simulate.sh 42 1        one seed, to reproduce it
#   scripts/simulate.sh 1 300       300 seeds from 1
set -euo pipefail
cd "$(dirname "$0")/.."

export SIMULATION_SEED="${1:-1}" SIMULATION_COUNT="${2:-10000}"
exec cargo test --release --locked --package dbnode --test simulation -- \
    --exact --nocapture seeds::what_is_promised_holds_whatever_goes_wrong
