#!/usr/bin/env bash
# Counts the instructions that the hot paths execute, without sockets, disks or clocks, and compares them with the
# recorded counts. Unlike a time, a count is the same on a busy computer.
#
#   scripts/instructions.sh            fails when a path takes over 3 % more than recorded
#   scripts/instructions.sh --update   records the current counts, to be committed
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need valgrind valgrind valgrind valgrind
written=scripts/instructions.txt
# The examples: a proxied exchange, a database write, a judged operation.
paths=(lb_hot_path dbnode_hot_path history_hot_path)

# The C library and memchr select code by CPU features, so counts from another kind of processor do not compare.
processor=$(uname -m)
grep -qw avx2 /proc/cpuinfo && processor+=+avx2
if [ "${1:-}" != --update ] && ! grep -qx "processor $processor" "$written"; then
    echo "SKIPPED: the recorded counts are from another kind of processor than this one ($processor); see $written" >&2
    exit 0
fi

# Counts the instructions of a program that runs this number of rounds.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" 2>&1 | awk '/Collected/ { print $4 }'
}

# Counts the instructions of one round; the difference of two runs excludes the start of the program.
one_round() {
    local few many
    few=$(instructions "$1" 500)
    many=$(instructions "$1" 2500)
    echo $(((many - few) / 2000))
}

counts="processor $processor"
# Built as part of the whole workspace, so that existing build results are reused.
cargo build --release --locked --quiet --workspace "${paths[@]/#/--example=}"
for path in "${paths[@]}"; do
    counts+=$'\n'"${path%_hot_path} $(one_round "target/release/examples/$path")"
done
if [ "${1:-}" = --update ]; then
    echo "$counts" | tee "$written"
    exit
fi
echo "$counts" | awk -v written="$written" '
    BEGIN { while ((getline line < written) > 0) { split(line, word, " "); before[word[1]] = word[2] } }
    $1 == "processor" { next }
    {
        grown = $2 / before[$1] - 1
        printf "%s: %d instructions a round, %+.1f %% compared with the record\n", $1, $2, 100 * grown
        if (!(grown <= 0.03)) { failed = 1 }
    }
    END {
        if (failed) {
            print "a hot path takes over 3 % more instructions: find out why, or say why it is worth it and run" \
                " scripts/instructions.sh --update" > "/dev/stderr"
            exit 1
        }
    }'
