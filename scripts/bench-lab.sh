#!/usr/bin/env bash
# Measures what the lab itself costs: the load generator compared with wrk, h2load and hey, the history checker, labs of
# 100 and 200 machines, and the article's chapters. Prints a table for docs/performance.md.
#
#   scripts/bench-lab.sh [generator] [judge] [machines] [chapters]      all of them by default; about six minutes
#
# Needs nginx, wrk, h2load and hey (Debian: nginx wrk nghttp2-client hey) and python3.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in nginx wrk h2load hey python3; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: apt-get install nginx wrk nghttp2-client hey python3" >&2
        exit 4
    }
done
cargo build --quiet --locked --release --bins
cargo build --quiet --locked --release -p history --example history_hot_path
exec python3 scripts/bench_lab.py "$@"
