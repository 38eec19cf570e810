#!/usr/bin/env bash
# Mutation testing of the pure files: cargo-mutants makes one small change at a time, and the tests have to notice.
# Mutants that survive are listed; each needs a test, or a line in scripts/mutants.toml that says why it is harmless.
#
#   scripts/mutants.sh                     the changes since main in the pure files
#   scripts/mutants.sh --change REF        the changes since this commit
#   scripts/mutants.sh FILE…               these files, completely
#   scripts/mutants.sh --list              lists the pure files
set -euo pipefail
shopt -s globstar nullglob
cd "$(dirname "$0")/.."

# The pure files whose decisions everything else depends on.
deciding=(
    dbnode/src/replication/**/*.rs dbnode/src/storage/disk/**/*.rs
    lb/src/choose/**/*.rs lb/src/upstream/**/*.rs lb/src/wire/**/*.rs lb/src/proxy/retry.rs
    webserver/src/store/freshness.rs webserver/src/store/copies.rs
    machine/src/capacity/**/*.rs labctl/history/src/**/*.rs labctl/src/runner/verdict.rs
)
files=() only=()
case "${1:-}" in
    --list)
        printf '%s\n' "${deciding[@]}"
        exit
        ;;
    --change | '')
        since=${2:-main}
        diff=$(mktemp)
        trap 'rm -f "$diff"' EXIT
        git diff "$since" -- "${deciding[@]}" >"$diff"
        only=(--in-diff "$diff")
        mapfile -t files < <(git diff --name-only --diff-filter=d "$since" -- "${deciding[@]}")
        if [ ${#files[@]} -eq 0 ]; then
            echo "none of the pure files has changed since $since" >&2
            exit
        fi
        ;;
    -*)
        sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    *) files=("$@") ;;
esac
for file in "${files[@]}"; do
    if [ ! -f "$file" ]; then
        echo "there is no file $file" >&2
        exit 2
    fi
done
if ! cargo mutants --version >/dev/null 2>&1; then
    echo "cargo-mutants is not installed: cargo install cargo-mutants --locked" >&2
    exit 4
fi

# Tests the mutants in a package's files; the further arguments are for `cargo test`.
mutants() {
    local package=$1 arguments=()
    shift
    for file in "${files[@]}"; do
        case "$file" in "$package"/src/*) arguments+=(--file "$file") ;; esac
    done
    [ ${#arguments[@]} -gt 0 ] || return 0
    # A mutant that loops forever is caught by the timeout.
    cargo mutants --config scripts/mutants.toml --output "target/mutants-${package//\//-}" \
        --jobs "${MUTANTS_JOBS:-1}" --minimum-test-timeout 60 --no-shuffle \
        "${only[@]}" "${arguments[@]}" -- "$@" || verdict=$?
}

verdict=0
# The database's other tests start processes, and say little about a single line.
mutants dbnode --lib --test simulation --test transcripts
for package in lb webserver machine labctl/history labctl; do
    mutants "$package"
done
exit "$verdict"
