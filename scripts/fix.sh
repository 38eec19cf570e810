#!/usr/bin/env bash
# Applies all automatic fixes.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
