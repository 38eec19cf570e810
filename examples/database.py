#!/usr/bin/env python3
"""A database node in 110 lines of Python: the stages of `labctl grade db` that one node can pass."""
import argparse, json, os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

class Store:
    """Records in memory, and every change of them a line in a file, in the order in which they were made."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.lock, self.records, self.names, self.version = threading.Lock(), {}, {}, 0
        path = os.path.join(directory, "log")
        self.file = open(path, "a+b")
        self.file.seek(0)
        whole = 0
        for line in self.file:
            if not line.endswith(b"\n"):    # the write that was cut off was not acknowledged
                break
            self.apply(json.loads(line))
            whole += len(line)
        self.file.truncate(whole)

    def apply(self, change):
        self.version = change["version"]
        if change["value"] is None:
            self.records.pop(change["key"], None)
        else:
            self.records[change["key"]] = (change["value"].encode("latin-1"), self.version)
        if change["name"] is not None:
            self.names[change["name"]] = change

    def persist(self, change):
        self.file.write(json.dumps(change).encode() + b"\n")
        self.file.flush()
        os.fsync(self.file.fileno())

    def get(self, key):
        with self.lock:
            return self.records.get(key)

    def allows(self, key, if_match, if_none_match):
        _, version = self.records.get(key, (None, None))
        if if_none_match is not None and version is not None:
            return False
        return if_match is None or if_match == f'"1.{version}"'

    def write(self, key, compute, name, if_match=None, if_none_match=None):
        """The status of the answer, and the change. `compute` is given the value and returns the new one."""
        with self.lock:
            if name in self.names:
                return 200, self.names[name]
            if not self.allows(key, if_match, if_none_match):
                return 412, None
            try:
                value = compute(self.records.get(key, (None, None))[0])
            except ValueError:
                return 422, None
            text = None if value is None else value.decode("latin-1")
            change = {"version": self.version + 1, "key": key, "value": text, "name": name}
            self.persist(change)
            self.apply(change)
            return 200, change

class Node(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store, role = None, {"role": "primary", "term": 1, "mode": "single"}

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", tag=None):
        self.send_response_only(status)
        if tag is not None:
            self.send_header("ETag", f'"1.{tag}"')
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def key(self):
        return unquote(self.path.partition("?")[0].removeprefix("/kv/"))

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def write(self, key, compute):
        headers = [self.headers.get(name) for name in ("Idempotency-Key", "If-Match", "If-None-Match")]
        return self.store.write(key, compute, *headers)

    def do_GET(self):
        if self.path == "/healthz":
            return self.answer(200)
        if self.path == "/status":
            return self.answer(200, json.dumps(self.role).encode())
        found = self.store.get(self.key())
        self.answer(404) if found is None else self.answer(200, *found)

    def do_PUT(self):
        value = self.body()
        status, change = self.write(self.key(), lambda _: value)
        self.answer(204, tag=change["version"]) if status == 200 else self.answer(status)

    def do_DELETE(self):
        status, _ = self.write(self.key(), lambda _: None)
        self.answer(204 if status == 200 else status)

    def do_POST(self):
        by = int(json.loads(self.body())["by"])
        status, change = self.write(self.key().removesuffix("/add"), lambda value: b"%d" % (int(value or 0) + by))
        if status != 200:
            return self.answer(status)
        self.answer(200, json.dumps({"value": int(change["value"]), "version": f"1.{change['version']}"}).encode())

def main(store=Store, node=Node):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--id", required=True)        # the node's name: db-1
    parser.add_argument("--listen", required=True)    # HOST:PORT for clients
    parser.add_argument("--data", required=True)      # a directory of its own
    args, _ = parser.parse_known_args()
    node.store = store(args.data)
    host, port = args.listen.rsplit(":", 1)
    ThreadingHTTPServer.request_queue_size = 128
    ThreadingHTTPServer((host, int(port)), node).serve_forever()

if __name__ == "__main__":
    main()
