#!/usr/bin/env bash
# Compares the database with PostgreSQL, etcd and Redis: three nodes each, fsync on everywhere, every node confirming a
# write, 100-byte values. All of them are up in one run, and loaded in turn in short slices. Prints a table for
# docs/performance.md.
#
#   scripts/bench-db.sh [ROUNDS] [SECONDS]      5 rounds of slices of 3 s by default
#   scripts/bench-db.sh keys [COUNT …]          one node with 10 000, 100 000 and 1 000 000 records: import, restart,
#                                               memory, disk, and the p99 of writes while the log is compacted
#
# Needs postgresql-15, etcd-server, redis-server and nghttp2-client (Debian), and python3. Clients, one
# thread each: pgbench with prepared statements; h2load with gRPC messages, etcd's own protocol; for dbnode
# and Redis tests/examples/kv_load.rs. As root, PostgreSQL's servers run as the user postgres.
#
# What acknowledged means. dbnode --replication sync: on all three disks, and visible on all three. PostgreSQL:
# synchronous_commit = remote_apply, FIRST 2 of 2 standbys: the same. etcd: on two of three disks. Redis: appendfsync
# always on all three and WAIT 2: on the primary's disk, and in the memory of both replicas. Reads are of one node's own
# copy (etcd: serializable).
#
# The floor of a read is a server with one thread that answers without parsing or looking up anything; that of a single
# client's write is one file, synced after each 100 bytes (tests/examples/floors.rs).
set -euo pipefail
cd "$(dirname "$0")/.."

# Not in /tmp, which may be in memory, where an fsync costs nothing.
dir=$PWD/target/bench-db
postgres=${POSTGRES:-/usr/lib/postgresql/15/bin} etcd=${ETCD:-$(command -v etcd || true)}
need() {
    for program in "$@"; do
        command -v "$program" >/dev/null || {
            echo "$program is missing: apt-get install postgresql-15 etcd-server redis-server nghttp2-client curl python3" >&2
            exit 4
        }
    done
}
prepare() {
    if [ -z "${DBNODE:-}" ]; then
        export CARGO_TARGET_DIR=target/bench
        cargo build --quiet --locked --profile dist -p dbnode --bin dbnode
        cargo build --quiet --locked --profile dist -p tests --example kv_load --example floors
        DBNODE=target/bench/dist/dbnode KV_LOAD=target/bench/dist/examples/kv_load FLOORS=target/bench/dist/examples/floors
    fi
    rm -rf "$dir" && mkdir -p "$dir"
}

if [ "${1:-}" = keys ]; then
    shift
    [ $# -gt 0 ] || set -- 10000 100000 1000000
    need python3
    prepare
    trap 'rm -rf "$dir"' EXIT
    python3 scripts/bench_keys.py "$DBNODE" "$KV_LOAD" "$dir" "$@"
    exit
fi

need "$postgres/initdb" "$postgres/pgbench" "${etcd:-etcd}" redis-server redis-cli h2load curl python3
prepare
rounds=${1:-5} seconds=${2:-3}
pids=()
as_postgres=()
if [ "$(id -u)" = 0 ]; then
    as_postgres=(setpriv --reuid postgres --regid postgres --clear-groups)
    # The user postgres may not be able to read this directory.
    pgdir=$(mktemp -d -p /var/lib/postgresql) && chown postgres "$pgdir"
else
    pgdir=$dir
fi
finish() {
    for pid in "${pids[@]}"; do kill -INT "$pid" 2>/dev/null || true; done
    sleep 1
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir" "${pgdir:?}"/pg-*
    [ "$pgdir" = "$dir" ] || rmdir "$pgdir"
}
trap finish EXIT

# Waits until a command succeeds, for at most 20 s.
until_ok() {
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    echo "gave up waiting for: $*" >&2
    exit 1
}
run() {
    local log=$1
    shift
    "$@" >"$dir/$log.log" 2>&1 &
    pids+=($!)
}

# --- dbnode: 18201, 18202, 18203
head -c 24 /dev/urandom | base64 >"$dir/secret"
for n in 1 2 3; do
    peers=()
    for m in 1 2 3; do
        [ "$n" = "$m" ] || peers+=(--peer "db-$m=127.0.0.1:1821$m")
    done
    run "db-$n" "$DBNODE" --id "db-$n" --listen "127.0.0.1:1820$n" --peer-listen "127.0.0.1:1821$n" \
        --data "$dir/db-$n" --replication sync --secret-file "$dir/secret" "${peers[@]}"
done
primary() {
    curl -s "http://127.0.0.1:18201/status" | python3 -c 'import json,sys
name = json.load(sys.stdin)["primary"]
print("127.0.0.1:1820" + name[-1]) if name else exit(1)'
}

# --- PostgreSQL: 18301, and standbys at 18302 and 18303
pg() { "${as_postgres[@]}" "$@"; }
pg "$postgres/initdb" -D "$pgdir/pg-1" -U bench -A trust --no-sync >"$dir/initdb.log"
pg tee -a "$pgdir/pg-1/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
synchronous_commit = remote_apply
CONF
run pg-1 "${as_postgres[@]}" "$postgres/postgres" -D "$pgdir/pg-1" -p 18301
until_ok "$postgres/pg_isready" -h 127.0.0.1 -p 18301
psql() { command psql -q -X -h 127.0.0.1 -p 18301 -U bench -d postgres "$@"; }
for n in 2 3; do
    pg "$postgres/pg_basebackup" -h 127.0.0.1 -p 18301 -U bench -D "$pgdir/pg-$n" -R -X stream --no-sync -c fast \
        -d "application_name=standby$n"
    run "pg-$n" "${as_postgres[@]}" "$postgres/postgres" -D "$pgdir/pg-$n" -p "1830$n"
    until_ok "$postgres/pg_isready" -h 127.0.0.1 -p "1830$n"
done
psql -c "alter system set synchronous_standby_names = 'FIRST 2 (standby2, standby3)'" -c "select pg_reload_conf()" >/dev/null
two_standbys() { [ "$(psql -At -c "select count(*) from pg_stat_replication where sync_state = 'sync'")" = 2 ]; }
until_ok two_standbys
psql -c "create table kv (k int primary key, v text not null)" \
    -c "insert into kv select k, repeat('x', 100) from generate_series(0, 9999) k" -c "vacuum analyze kv"
value=$(printf 'x%.0s' $(seq 100))
echo "\\set k random(0, 9999)
insert into kv values (:k, '$value') on conflict (k) do update set v = excluded.v;" >"$dir/put.sql"
echo "\\set k random(0, 9999)
select v from kv where k = :k;" >"$dir/get.sql"

# --- etcd: 18401, 18402, 18403
cluster="e1=http://127.0.0.1:18411,e2=http://127.0.0.1:18412,e3=http://127.0.0.1:18413"
for n in 1 2 3; do
    run "etcd-$n" "$etcd" --name "e$n" --data-dir "$dir/etcd-$n" --listen-client-urls "http://127.0.0.1:1840$n" \
        --advertise-client-urls "http://127.0.0.1:1840$n" --listen-peer-urls "http://127.0.0.1:1841$n" \
        --initial-advertise-peer-urls "http://127.0.0.1:1841$n" --initial-cluster "$cluster" \
        --logger zap --log-level error --quota-backend-bytes 4294967296
done
# gRPC messages: a byte, the length, and the protobuf of a PutRequest and of a serializable RangeRequest.
python3 - "$dir" <<'PY'
import struct, sys
def message(fields): return b"\0" + struct.pack(">I", len(fields)) + fields
def text(number, value): return bytes([number << 3 | 2, len(value)]) + value
open(sys.argv[1] + "/put.grpc", "wb").write(message(text(1, b"k1") + text(2, b"x" * 100)))
open(sys.argv[1] + "/get.grpc", "wb").write(message(text(1, b"k1") + bytes([7 << 3, 1])))
PY
etcd_leader() {
    for n in 1 2 3; do
        # Reads to the end: with pipefail, stopping early would make the writer fail.
        curl -s "http://127.0.0.1:1840$n/metrics" | grep -c '^etcd_server_is_leader 1' >/dev/null || continue
        echo "127.0.0.1:1840$n"
        return
    done
    return 1
}

# --- Redis: 18501, and replicas at 18502 and 18503
for n in 1 2 3; do
    mkdir "$dir/redis-$n"
    of=()
    [ "$n" = 1 ] || of=(--replicaof "127.0.0.1 18501")
    run "redis-$n" redis-server --port "1850$n" --bind 127.0.0.1 --dir "$dir/redis-$n" --save "" --appendonly yes \
        --appendfsync always --repl-diskless-sync-delay 0 "${of[@]}"
done

until_ok primary
until_ok etcd_leader
two_replicas() { redis-cli -p 18501 info replication | grep -c state=online | grep -qx 2; }
until_ok two_replicas
db=$(primary) leader=$(etcd_leader)

of_dbnode() { "$KV_LOAD" dbnode "$1" "$db" "$2" "$seconds" | cut -d' ' -f1; }
of_redis() { "$KV_LOAD" redis "$1" 127.0.0.1:18501 "$2" "$seconds" | cut -d' ' -f1; }
of_postgres() {
    "$postgres/pgbench" -n -M prepared -f "$dir/$1.sql" -c "$2" -j 1 -T "$seconds" -h 127.0.0.1 -p 18301 -U bench postgres \
        2>>"$dir/pgbench.log" | sed -n 's/^tps = \([0-9]*\).*/\1/p'
}
of_etcd() {
    local method=Put
    [ "$1" = put ] || method=Range
    h2load -t 1 -c "$2" -m 1 -D "$seconds" -d "$dir/$1.grpc" -H 'content-type: application/grpc' -H 'te: trailers' \
        "http://$leader/etcdserverpb.KV/$method" | sed -n 's/^finished in [^,]*, \([0-9]*\).*/\1/p'
}

# --- What no database can beat here: a server that answers without looking, and a sync of 100 bytes.
run floor "$FLOORS" answer 127.0.0.1:18701
until_ok curl -sf http://127.0.0.1:18701/
of_floor() {
    case $1 in
        get) "$KV_LOAD" dbnode get 127.0.0.1:18701 "$2" "$seconds" | cut -d' ' -f1 ;;
        put) "$FLOORS" sync "$dir/synced" "$seconds" ;;
    esac
}

for system in dbnode redis; do "of_$system" put 16 >/dev/null; done
for round in $(seq "$rounds"); do
    for asked in put get; do
        for clients in 1 16 64; do
            for system in dbnode postgres etcd redis floor; do
                rate=$("of_$system" "$asked" "$clients")
                [ -n "$rate" ] || {
                    echo "$system reported no figures for $asked with $clients clients" >&2
                    exit 1
                }
                echo "$asked $clients $system $rate" >>"$dir/slices"
            done
        done
    done
    echo "round $round of $rounds is done" >&2
done
curl -s "http://$db/status" >"$dir/status"
python3 - "$dir" "$rounds" "$seconds" <<'PY'
import collections, json, statistics, sys
slices = collections.defaultdict(list)
for line in open(sys.argv[1] + "/slices"):
    asked, clients, system, rate = line.split()
    slices[asked, int(clients), system].append(int(rate))
median = {what: statistics.median(rates) for what, rates in slices.items()}
systems = ["dbnode", "postgres", "etcd", "redis"]
print(f"Operations a second, the median of {sys.argv[2]} slices of {sys.argv[3]} s, and dbnode's over the others':\n")
print("| | clients | dbnode | PostgreSQL 15 | etcd 3.4 | Redis 7 | ÷ PostgreSQL | ÷ etcd | ÷ Redis | floor |")
print("|---|---|---|---|---|---|---|---|---|---|")
for asked, name in (("put", "writes"), ("get", "reads")):
    for clients in (1, 16, 64):
        floor = f"{median[asked, clients, 'floor']:.0f}" if asked == "get" or clients == 1 else ""
        rates = [median[asked, clients, system] for system in systems]
        over = [f"{rates[0] / other:.2f}" for other in rates[1:]]
        print(f"| {name} | {clients} | " + " | ".join(f"{rate:.0f}" for rate in rates) + " | " + " | ".join(over) + f" | {floor} |")
status = json.load(open(sys.argv[1] + "/status"))
print(f"\ndbnode's primary acknowledged {status['writes']} writes with {status['syncs']} fsyncs: {status['writes'] / status['syncs']:.1f} writes each.")
PY
