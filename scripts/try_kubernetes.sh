#!/usr/bin/env bash
# Runs the pods of deploy/k8s as containers, because there is no cluster here: see try_kubernetes.py.
#
#   scripts/images.sh && scripts/try_kubernetes.sh
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh

# The virtual environment of the validator contains the YAML parser.
run_wheel kubernetes-validate 1.37.0 --strict --quiet deploy/k8s/[!k]*.yaml
python=target/tools/kubernetes-validate-1.37.0/bin/python
[ -x "$python" ] || exit 4
exec "$python" scripts/try_kubernetes.py
