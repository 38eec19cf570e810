#!/usr/bin/env bash
# Retakes the pictures of the live page in docs/pictures: the browser tests take them as they run.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need_redis
want_browser
want_axe
cargo build --release --locked --bins
PAGE_SCREENSHOTS=$PWD/docs/pictures cargo test --release --locked --package page-tests -- --test-threads 1
