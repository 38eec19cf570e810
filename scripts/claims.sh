#!/usr/bin/env bash
# The article, sentence by sentence, in quick form: every chapter, the table, and then what they say of it.
# Ends with 1 when a verdict has flipped.
#
#   scripts/claims.sh [DIR]      results go to DIR; a temporary directory by default
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need_redis

cargo build --release --locked --bins
runs="${1:-$(mktemp -d)}/runs"
labctl=target/release/labctl
status=0
"$labctl" run all --quick --no-input --runs-dir "$runs" || status=$?
# A chapter's failed claim is a flipped verdict, and is told below; anything else ends here.
[ "$status" -le 3 ] && [ "$status" -ne 2 ] || exit "$status"
"$labctl" table --quick --runs-dir "$runs"
"$labctl" claims --all-measured --runs-dir "$runs"
