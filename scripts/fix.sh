#!/usr/bin/env bash
# Rewrites what a tool can rewrite.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
