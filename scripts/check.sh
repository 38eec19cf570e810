#!/usr/bin/env bash
# The gate: format, spelling, links, workflows, lints, documentation, dependencies. It changes no file of the project;
# `scripts/fix.sh` does. Missing tools are installed under target/, and cargo-deny by cargo.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh

echo "== format"
cargo fmt --all --check
echo "== spelling"
run_wheel typos 1.52.0
echo "== links"
python3 scripts/check_links.py
python3 scripts/planted.py --check
python3 scripts/check_release.py --sources
echo "== workflows"
run_wheel zizmor 1.32.0 --offline --quiet .github/workflows examples/ci/github.yml examples/classroom/.github/workflows/grade.yml
run_wheel check-jsonschema 0.39.0 --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/ci/github.yml \
    examples/classroom/.github/workflows/*.yml
run_wheel check-jsonschema 0.39.0 --builtin-schema vendor.gitlab-ci examples/ci/gitlab-ci.yml
echo "== the live page's scripts"
export DENO_NO_UPDATE_CHECK=1
run_wheel deno 2.9.8 check --quiet --config labctl/page/deno.json labctl/page/assets/main.js labctl/page/tests/*.js
run_wheel deno 2.9.8 test --quiet --config labctl/page/deno.json labctl/page/tests
run_wheel deno 2.9.8 lint --quiet --config labctl/page/deno.json
run_wheel deno 2.9.8 fmt --check --quiet --config labctl/page/deno.json
run_wheel oxlint 1.89.0 labctl/page/assets labctl/page/tests
echo "== Kubernetes"
run_wheel kubernetes-validate 1.37.0 --strict --quiet deploy/k8s/[!k]*.yaml
echo "== alerts"
if want_prometheus; then
    promtool check rules --lint=all --lint-fatal deploy/observability/rules.yml
    promtool check config --syntax-only deploy/observability/prometheus.yml
    promtool check config --syntax-only deploy/observability/compose.yml
    promtool test rules deploy/observability/rules_test.yml
fi
echo "== lints"
cargo clippy --release --locked --workspace --all-targets -- --deny warnings
echo "== documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --release --locked --workspace --no-deps --document-private-items --quiet
echo "== dependencies"
if ! cargo deny --version >/dev/null 2>&1; then
    if [ -n "${CI:-}" ]; then
        echo "installing cargo-deny"
        # A debug build: it runs once, and optimising it would take longer than that.
        cargo install cargo-deny --locked --quiet --debug
    else
        echo "SKIPPED: cargo-deny is not installed (cargo install cargo-deny --locked)" >&2
    fi
fi
if cargo deny --version >/dev/null 2>&1; then
    # Includes the crates that only other platforms need, which the build has not fetched. Advisories are looked up
    # online by another job.
    cargo fetch --locked --quiet
    cargo deny --offline --locked check bans licenses sources
fi
