#!/usr/bin/env python3
"""A load balancer in 150 lines of Python: all stages of `labctl grade lb` but the one for speed."""
import argparse, asyncio, json, signal, sys, time

class Refused(Exception):    # answered with this status
    pass

class Lost(Exception):    # no answer came from a server; `sent`: it may have got the request
    def __init__(self, status, sent):
        self.status, self.sent = status, sent

class Upstream:
    def __init__(self, name, address, up=True):
        self.name, self.address, self.up = name, address, up
        self.in_flight = self.good = self.bad = self.failures = self.out_until = 0
        self.draining = False

    def takes_requests(self):
        return self.up and not self.draining and time.monotonic() >= self.out_until

def seconds(text):
    return float(text[:-2]) / 1000 if text.endswith("ms") else float(text.rstrip("s"))

async def read_head(reader):
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None, []
    except asyncio.LimitOverrunError:
        raise Refused(431)
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or any(c in " \t" for c in name):    # also a folded line
            raise Refused(400)
        headers.append((name.lower(), value.strip()))
    return first, headers

def values(headers, wanted):
    return [value for name, value in headers if name == wanted]

async def read_body(reader, headers, until_end):
    lengths, codings = values(headers, "content-length"), values(headers, "transfer-encoding")
    if codings:
        if lengths or [coding.lower() for coding in codings] != ["chunked"]:
            raise Refused(400)
        body = b""
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
        return body
    if lengths:
        if len(lengths) > 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
            raise Refused(400)
        return await reader.readexactly(int(lengths[0]))
    return await reader.read() if until_end else b""

class Balancer:
    def __init__(self, args):
        self.args, self.turn, self.busy, self.events = args, 0, 0, []
        self.upstreams = [Upstream(*upstream.split("=", 1)) for upstream in args.upstream]

    def choose(self, tried):
        able = [u for u in self.upstreams if u.takes_requests() and u not in tried]
        self.turn += 1
        return able[self.turn % len(able)] if able else None

    def to_server(self, headers, client):
        named = {name.strip().lower() for value in values(headers, "connection") for name in value.split(",")}
        away = named | {"connection", "keep-alive", "transfer-encoding", "content-length", "x-forwarded-for"}
        chain = values(headers, "x-forwarded-for") + [client]
        return [pair for pair in headers if pair[0] not in away] + [("x-forwarded-for", ", ".join(chain))]

    async def exchange(self, upstream, method, target, headers, body):
        host, port = upstream.address.rsplit(":", 1)
        sent, upstream.in_flight = False, upstream.in_flight + 1
        try:
            async with asyncio.timeout(seconds(self.args.request_timeout)):
                reader, writer = await asyncio.open_connection(host, int(port), limit=2**20)
                try:
                    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
                    lines += ["connection: close"] + ([f"content-length: {len(body)}"] if body else [])
                    sent = True
                    writer.write("\r\n".join(lines + ["", ""]).encode("latin-1") + body)
                    first, answer = await read_head(reader)
                    if first is None:
                        raise ConnectionError
                    status = int(first.split(" ")[1])
                    bodiless = method == "HEAD" or status in (204, 304)
                    return status, answer, b"" if bodiless else await read_body(reader, answer, True)
                finally:
                    writer.close()
        except TimeoutError:
            raise Lost(504, sent)
        except (OSError, ValueError, Refused, asyncio.IncompleteReadError):
            raise Lost(502, sent)
        finally:
            upstream.in_flight -= 1

    def may_repeat(self, method, lost):
        return method in ("GET", "HEAD", "OPTIONS") or not lost.sent

    async def forward(self, method, target, headers, body):
        tried, lost = [], Lost(503, False)
        while len(tried) <= self.args.retries and (upstream := self.choose(tried)):
            tried.append(upstream)
            try:
                status, answer, data = await self.exchange(upstream, method, target, headers, body)
                self.note(upstream, status < 500)
                return status, answer + [("x-served-by", upstream.name)], data
            except Lost as error:
                self.note(upstream, False)
                lost = error
                if not self.may_repeat(method, lost):
                    break
        raise Refused(lost.status)

    def note(self, upstream, good):
        upstream.failures = 0 if good else upstream.failures + 1
        if self.args.passive_fall and upstream.failures >= self.args.passive_fall:
            upstream.out_until, upstream.failures = time.monotonic() + 10, 0
            self.tell("ejected", upstream)

    def understand(self, first, headers):
        words = first.split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1.") or len(values(headers, "host")) != 1:
            raise Refused(400)
        return words

    async def serve(self, reader, writer):
        client = writer.get_extra_info("peername")[0]
        try:
            while True:
                first, headers = await read_head(reader)
                if first is None:
                    return
                self.busy += 1
                try:
                    method, target, version = self.understand(first, headers)
                    body = await read_body(reader, headers, False)
                    status, answer, data = await self.forward(method, target, self.to_server(headers, client), body)
                    closes = version == "HTTP/1.0" or "close" in ",".join(values(headers, "connection")).lower()
                    self.answer(writer, method, status, answer, data, closes)
                    await writer.drain()
                finally:
                    self.busy -= 1
                if closes:
                    return
        except Refused as refused:
            self.answer(writer, "GET", refused.args[0], [], b"", True)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def answer(self, writer, method, status, headers, data, closes):
        away = ("connection", "keep-alive", "transfer-encoding") + (() if method == "HEAD" else ("content-length",))
        lines = [f"HTTP/1.1 {status} "] + [f"{name}: {value}" for name, value in headers if name not in away]
        lines += [] if method == "HEAD" or status in (204, 304) else [f"content-length: {len(data)}"]
        lines += ["connection: close"] if closes else []
        writer.write("\r\n".join(lines + ["", ""]).encode("latin-1") + data)

    def tell(self, event, upstream):
        self.events.append({"seq": len(self.events) + 1, "event": event, "name": upstream.name,
                            "unix_ms": int(time.time() * 1000)})

    async def is_well(self, upstream):
        host, port = upstream.address.rsplit(":", 1)
        try:
            async with asyncio.timeout(seconds(self.args.health_timeout)):
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"GET /healthz HTTP/1.1\r\nhost: {upstream.address}\r\nconnection: close\r\n\r\n".encode())
                first = await reader.readline()
                writer.close()
                return b" 200 " in first
        except (OSError, TimeoutError):
            return False

    async def check(self, upstream):
        while upstream in self.upstreams:
            begun, well = time.monotonic(), await self.is_well(upstream)
            upstream.good, upstream.bad = (upstream.good + 1, 0) if well else (0, upstream.bad + 1)
            if upstream.up and upstream.bad >= self.args.fall or not upstream.up and upstream.good >= self.args.rise:
                upstream.up = well
                self.tell("admitted" if well else "ejected", upstream)
            await asyncio.sleep(max(0, begun + seconds(self.args.health_interval) - time.monotonic()))

    def watch(self, upstream):
        if self.args.health != "off":
            asyncio.create_task(self.check(upstream))

    async def obey(self, method, target, body):
        path, _, query = target.partition("?")
        if method == "GET" and path == "/healthz":
            return 200, {"status": "ok"}
        if method == "GET" and path == "/upstreams":
            return 200, [{"name": u.name, "state": "up" if u.takes_requests() else "down"} for u in self.upstreams]
        if method == "GET" and path == "/events":
            after = int(dict(pair.split("=") for pair in query.split("&")).get("after", 0))
            return 200, [event for event in self.events if event["seq"] > after]
        if method == "POST" and path == "/upstreams":
            wanted = json.loads(body)
            upstream = Upstream(wanted["name"], wanted["address"], up=self.args.health == "off")
            self.upstreams.append(upstream)
            self.watch(upstream)
            return 201, {"name": upstream.name}
        leaving = [u for u in self.upstreams if path == f"/upstreams/{u.name}"]
        if method == "DELETE" and leaving:
            leaving[0].draining = True
            while leaving[0].in_flight:
                await asyncio.sleep(0.01)
            self.upstreams.remove(leaving[0])
            return 200, {"name": leaving[0].name}
        return 404, {"error": "not_found"}

    async def administer(self, reader, writer):
        try:
            first, headers = await read_head(reader)
            method, target, _ = first.split(" ")
            status, answer = await self.obey(method, target, await read_body(reader, headers, False))
            self.answer(writer, method, status, [], json.dumps(answer).encode(), True)
        except (Refused, AttributeError, KeyError, ValueError, asyncio.IncompleteReadError):
            self.answer(writer, "GET", 400, [], b"{}", True)
        finally:
            writer.close()

    async def run(self):
        stop, at = asyncio.Event(), lambda address: address.rsplit(":", 1)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        for upstream in self.upstreams:
            self.watch(upstream)
        await asyncio.start_server(self.administer, *at(self.args.admin))
        door = await asyncio.start_server(self.serve, *at(self.args.listen), limit=2**16, backlog=1024)
        await stop.wait()
        door.close()
        while self.busy:
            await asyncio.sleep(0.01)

def main(balancer=Balancer):
    if sys.argv[1:] == ["--can"]:
        print(json.dumps({"can": ["round-robin", "checks", "passive", "retries", "add", "remove", "events"],
                          "cannot": {"pair": "it is alone", "connect-checks": "it asks, or does not look at all"}}))
        return
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--listen", default="127.0.0.1:8080")
    parser.add_argument("--admin", default="127.0.0.1:8081")
    parser.add_argument("--upstream", action="append", default=[])
    for flag, default in [("health", "on"), ("health-interval", "1s"), ("health-timeout", "500ms"), ("request-timeout", "30s")]:
        parser.add_argument(f"--{flag}", default=default)
    for flag, default in [("fall", 3), ("rise", 2), ("retries", 0), ("passive-fall", 0)]:
        parser.add_argument(f"--{flag}", type=int, default=default)
    asyncio.run(balancer(parser.parse_known_args()[0]).run())

if __name__ == "__main__":
    main()
