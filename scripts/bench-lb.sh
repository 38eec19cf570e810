#!/usr/bin/env bash
# Compares the balancer with HAProxy and nginx: CPU time per request and p99. All proxies are up in one run, and loaded
# in turn in one-second slices. Prints a table for docs/performance.md.
#
#   scripts/bench-lb.sh [ROUNDS] [SCENARIO …]      20 rounds of every scenario by default
#   scripts/bench-lb.sh curve [ROUNDS]             the balancer alone, with 2 to 1 000 upstreams and 10 000 idle connections
#
# Needs haproxy, nginx, wrk and h2load (Debian: haproxy nginx wrk nghttp2-client) and python3. Each proxy has one
# thread; the origin is a separate nginx with one worker.
set -euo pipefail
cd "$(dirname "$0")/.."

for program in haproxy nginx wrk h2load python3; do
    command -v "$program" >/dev/null || {
        echo "$program is missing: apt-get install haproxy nginx wrk nghttp2-client python3" >&2
        exit 4
    }
done
if [ -z "${LB:-}" ]; then
    CARGO_TARGET_DIR=target/bench cargo build --quiet --locked --profile dist -p lb --bin lb
    LB=target/bench/dist/lb
fi

dir=$(mktemp -d)
# The origin drops root, so its files must be readable here.
chmod 755 "$dir"
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT

if [ "${1:-}" = curve ]; then
    shift
    python3 scripts/bench_curve.py "$LB" "$dir" "$@"
    exit
fi

origin=18100 lb=18101 haproxy=18102 nginx=18103 admin=18104
mkdir "$dir/www"
head -c 65536 /dev/zero | tr '\0' x >"$dir/www/64k"
nginx_common="daemon off; worker_processes 1; error_log $dir/error.log; events { worker_connections 4096; }"
nginx_http="access_log off; client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f;
    uwsgi_temp_path $dir/u; scgi_temp_path $dir/s; keepalive_requests 1000000; keepalive_timeout 60s;"
cat >"$dir/origin.conf" <<CONF
pid $dir/origin.pid; $nginx_common
http { $nginx_http
    server {
        listen 127.0.0.1:$origin reuseport backlog=4096;
        root $dir/www;
        location / { default_type text/plain; return 200 "hello, world"; }
        location = /64k { }
    }
}
CONF
cat >"$dir/nginx.conf" <<CONF
pid $dir/nginx.pid; $nginx_common
http { $nginx_http
    upstream origin { server 127.0.0.1:$origin; server 127.0.0.1:$origin; keepalive 256; keepalive_requests 1000000; }
    server {
        listen 127.0.0.1:$nginx reuseport backlog=4096;
        location / {
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host \$host;
            proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto \$scheme;
            proxy_set_header X-Request-Id \$request_id;
            add_header X-Served-By \$upstream_addr;
        }
    }
}
CONF
cat >"$dir/haproxy.cfg" <<CONF
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 1s
    timeout client 60s
    timeout server 30s
    timeout http-request 10s
    timeout http-keep-alive 60s
frontend clients
    bind 127.0.0.1:$haproxy
    unique-id-format %{+X}o\ %ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    option forwardfor
    http-request set-header X-Forwarded-Proto http
    default_backend origins
backend origins
    balance roundrobin
    http-reuse always
    option httpchk GET /healthz
    http-response set-header X-Served-By %s
    server web-1 127.0.0.1:$origin check inter 1s
    server web-2 127.0.0.1:$origin check inter 1s
CONF

nginx -c "$dir/origin.conf" -p "$dir" 2>/dev/null & pids+=($!)
nginx -c "$dir/nginx.conf" -p "$dir" 2>/dev/null & pids+=($!); nginx_pid=$!
haproxy -f "$dir/haproxy.cfg" -db >/dev/null 2>&1 & pids+=($!); haproxy_pid=$!
"$LB" --listen 127.0.0.1:$lb --admin 127.0.0.1:$admin --threads 1 \
    --upstream "web-1=127.0.0.1:$origin,web-2=127.0.0.1:$origin" 2>"$dir/lb.log" & pids+=($!); lb_pid=$!

python3 scripts/bench_lb.py "$dir" "lb:$lb:$lb_pid" "haproxy:$haproxy:$haproxy_pid" "nginx:$nginx:$nginx_pid" -- "$@"
