#!/usr/bin/env bash
# Checks the article sentence by sentence, in quick mode: runs every chapter and the table, and then reports the
# verdicts. Exits with 1 if a verdict has flipped even after a repetition, and with 3 if the computer was too busy to
# decide.
#
#   scripts/claims.sh [DIR]      results go to DIR, a temporary directory by default; chapters that have
#                                results there are not run again
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need_redis

cargo build --release --locked --bins
runs=${1:-$(mktemp -d)}
labctl=(target/release/labctl --runs-dir "$runs")

# Returns a command's verdict; any exit code that is not a verdict ends the script.
verdict_of() {
    local status=0
    "$@" || status=$?
    case $status in 0 | 1 | 3) return "$status" ;; *) exit "$status" ;; esac
}

for chapter in $("${labctl[@]}" list --json | python3 -c 'import json, sys
for chapter in json.load(sys.stdin)["chapters"]: print(chapter["name"])'); do
    # The verdicts on the article are reported at the end.
    [ -e "$runs/$chapter/latest" ] || verdict_of "${labctl[@]}" run "$chapter" --quick --no-input || true
done
for try in first last; do
    verdict_of "${labctl[@]}" table --quick || true
    status=0
    verdict_of "${labctl[@]}" claims --all-measured || status=$?
    [ "$status" -ne 0 ] && [ "$try" = first ] || break
    echo "Measuring the table once more: something in it was not as expected, or the computer was too busy."
done
exit "$status"
