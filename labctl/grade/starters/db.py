#!/usr/bin/env python3
"""A database that passes the first two stages of `labctl grade db`. The rest is yours."""
import argparse, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--id", required=True)        # the node's name: db-1
parser.add_argument("--listen", required=True)    # HOST:PORT for clients
parser.add_argument("--data", required=True)      # the node's own directory
args, _ = parser.parse_known_args()    # ignores unknown flags
os.makedirs(args.data, exist_ok=True)

lock, records = threading.Lock(), {}    # stage 3: these are lost when the program dies

class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=b""):
        self.send_response_only(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def key(self):
        path, _, query = self.path.partition("?")
        return unquote(path.removeprefix("/kv/"))

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200)
        with lock:
            value = records.get(self.key())
        if value is None:
            return self.answer(404)
        self.answer(200, value)    # stage 4: its version as ETag

    def do_PUT(self):
        value = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with lock:
            records[self.key()] = value
        self.answer(204)

    def do_DELETE(self):
        with lock:
            records.pop(self.key(), None)
        self.answer(204)

host, port = args.listen.rsplit(":", 1)
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer((host, int(port)), Node).serve_forever()
