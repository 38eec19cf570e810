"""A proxy in front of the lab's own database node, for wrong parts that tamper with some of the requests.

The node is the program in GRADED_DBNODE. It gets the same flags, and listens a thousand ports further up."""
import http.client, os, subprocess, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ARGS = sys.argv[1:]
HOST, PORT = ARGS[ARGS.index("--listen") + 1].rsplit(":", 1)
OWN, NODE = f"{HOST}:{PORT}", f"{HOST}:{int(PORT) + 1000}"
IS_CLUSTER = "--peer" in ARGS

def ask_node(method, path, headers=(), body=b""):
    """Returns the status, headers and body of the node's own response; 503 if it is not running."""
    connection = http.client.HTTPConnection(NODE, timeout=10)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    except ConnectionRefusedError:
        return 503, [], b""
    finally:
        connection.close()

class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def exchange(self, method, path, headers, body):
        return ask_node(method, path, headers, body)

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "content-length"}
        try:
            status, headers, body = self.exchange(self.command, self.path, headers, body)
        except (OSError, http.client.HTTPException):    # the node died in the middle
            self.close_connection = True
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def log_message(self, *_):
        pass

def main(front=Front, more=()):
    flags = [NODE if flag == OWN else flag for flag in ARGS]
    subprocess.Popen([os.environ["GRADED_DBNODE"], *flags, "--advertise", OWN, *more])
    ThreadingHTTPServer.request_queue_size = 256
    ThreadingHTTPServer((HOST, int(PORT)), front).serve_forever()
