#!/usr/bin/env python3
"""Fails stage 10: refuses writes as the new primary while the former one is dead."""
import pathlib, sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from front import IS_CLUSTER, OWN, Front, ask_node, main
import json, socket, threading, time

class Wrong(Front):
    former = None

    def exchange(self, method, path, headers, body):
        if method != "GET" and IS_CLUSTER and self.former not in (None, OWN) and is_dead(self.former):
            return 503, [], b""
        return super().exchange(method, path, headers, body)

def is_dead(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False

def watch():
    while Wrong.former is None:
        time.sleep(0.05)
        status, _, body = ask_node("GET", "/status")
        name = json.loads(body).get("primary") if status == 200 else None
        if name:    # db-2 is the second machine of its network
            host, port = OWN.rsplit(":", 1)
            Wrong.former = f"{host.rsplit('.', 1)[0]}.{name.split('-')[1]}:{port}"

if IS_CLUSTER:
    threading.Thread(target=watch, daemon=True).start()

main(Wrong)
