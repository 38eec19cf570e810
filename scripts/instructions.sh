#!/usr/bin/env bash
# Counts the instructions that the hot paths execute, without sockets, disks or clocks, and compares them with
# what is written down. Unlike a time, a count comes out the same on a busy computer.
#
#   scripts/instructions.sh            fails when a path takes over 3 % more than written down
#   scripts/instructions.sh --update   writes down what they take now, to be committed
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/needs.sh
need valgrind valgrind valgrind valgrind
written=scripts/instructions.txt
# Where a package's examples/hot_path.rs is.
packages=(lb dbnode)

cargo build --release --locked --quiet $(printf -- '-p %s ' "${packages[@]}") --example hot_path

# What a program executes for so many rounds.
instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$1" "$2" 2>&1 | awk '/Collected/ { print $4 }'
}

# What one round takes: starting the program is left out by the difference.
one_round() {
    local few many
    few=$(instructions "$1" 500)
    many=$(instructions "$1" 2500)
    echo $(((many - few) / 2000))
}
