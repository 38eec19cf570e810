#!/usr/bin/env bash
# The article, sentence by sentence, in quick form: every chapter, the table, and then what they say of it.
# Ends with 1 when a verdict has flipped, also when everything was measured again; with 3 when the computer
# was too busy to say.
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

# Ends with what a command ended with. Only a verdict is one: anything else ends everything here.
verdict_of() {
    local status=0
    "$@" || status=$?
    case $status in 0 | 1 | 3) return "$status" ;; *) exit "$status" ;; esac
}

for chapter in $("${labctl[@]}" list --json | python3 -c 'import json, sys
for chapter in json.load(sys.stdin)["chapters"]: print(chapter["name"])'); do
    # What a chapter's claims say of the article is told at the end.
    [ -e "$runs/$chapter/latest" ] || verdict_of "${labctl[@]}" run "$chapter" --quick --no-input || true
done
for try in first last; do
    verdict_of "${labctl[@]}" table --quick || true
    status=0
    verdict_of "${labctl[@]}" claims --all-measured || status=$?
    [ "$status" -ne 0 ] && [ "$try" = first ] || break
    echo "The table is measured once more: something in it was not as expected, or the computer was too busy."
done
exit "$status"
