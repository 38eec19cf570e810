#!/usr/bin/env python3
"""A balancer that passes the first stage of `labctl grade lb`. The rest is yours."""
import argparse, http.client, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--listen", required=True)    # HOST:PORT for clients
parser.add_argument("--admin", required=True)     # HOST:PORT for the administrator
parser.add_argument("--upstream", action="append", default=[])    # NAME=HOST:PORT, for each server
args, _ = parser.parse_known_args()    # ignores unknown flags
upstreams = [upstream.split("=", 1) for upstream in args.upstream]

class Balancer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def forward(self):
        name, address = upstreams[0]    # stage 2: take turns
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        server = http.client.HTTPConnection(address, timeout=30)
        server.request(self.command, self.path, body or None, dict(self.headers))
        answer = server.getresponse()
        data = answer.read()
        self.send_response_only(answer.status)
        for header, value in answer.getheaders():
            if header.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(header, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", answer.getheader("Content-Length", str(len(data))))
        self.end_headers()
        self.wfile.write(data)
        server.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = forward

class Admin(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

def serve(address, handler):
    host, port = address.rsplit(":", 1)
    ThreadingHTTPServer((host, int(port)), handler).serve_forever()

threading.Thread(target=serve, args=(args.admin, Admin), daemon=True).start()
serve(args.listen, Balancer)
