#!/usr/bin/env bash
# Damages the files of a database's data directory at random, and starts from them: either everything that was
# acknowledged is there, or the node refuses to start and changes nothing.
#
#   scripts/damage.sh               1000 random damages
#   scripts/damage.sh 200           200 damages
#   scripts/damage.sh 200 42        the same 200 each time
set -euo pipefail
cd "$(dirname "$0")/.."

export DAMAGE_COUNT="${1:-1000}" DAMAGE_SEED="${2:-$RANDOM}"
exec cargo test --release --locked --package dbnode --test it -- \
    --exact --nocapture damage::what_is_damaged_is_refused_or_nothing_is_missing
