"""An HTTP load that loses nothing in silence: raw sockets, no retry, every failure counted by kind.

    with Load("http://127.0.0.1:8080/?plain", clients=50, method="POST") as load:
        ...                                     # what must not cost a request
    assert load.result.failed == 0, load.result

Opening a new connection after an answer that said `Connection: close` is what HTTP asks for and no failure.
EOF or RST on a request that was sent is one, also on a kept-alive connection: that is what a reload costs.
"""

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

MAX_NODE_NAME = 64
MAX_FAILURES_KEPT = 50


class BadAnswer(Exception):
    """What came back is no whole HTTP answer; the text is its kind."""


@dataclass
class Result:
    """What all clients saw; times in seconds (`failures`: since the start of the load)."""

    total: int = 0
    connections: int = 0
    by_kind: Counter = field(default_factory=Counter)
    by_node: Counter = field(default_factory=Counter)
    latencies: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    @property
    def failed(self):
        return sum(self.by_kind.values())

    @property
    def slowest_ms(self):
        return max(self.latencies, default=0.0) * 1000

    def add(self, other):
        self.total += other.total
        self.connections += other.connections
        self.by_kind += other.by_kind
        self.by_node += other.by_node
        self.latencies += other.latencies
        self.failures += other.failures

    def __str__(self):
        return (
            f"{self.total} requests, {self.failed} failed {dict(self.by_kind)}, slowest {self.slowest_ms:.0f} ms, "
            f"{self.connections} connections, nodes {dict(self.by_node)}, first failures {self.failures[:5]}"
        )


class Client:
    """One connection and one request at a time, as a browser or an HTTP library without retries would do."""

    def __init__(self, load):
        self.load = load
        self.result = Result()
        self.socket = None
        self.stream = None

    def run(self, offset):
        load = self.load
        due = load.started + offset
        while not load.stopping.is_set():
            if load.interval:
                if load.stopping.wait(max(0.0, due - time.monotonic())):
                    break
                begin, due = due, due + load.interval
            else:
                begin = time.monotonic()
            self.request(begin)
        self.close()

    def request(self, begin):
        """One request, counted from `begin`: with a rate that is when it was due, so a stall shows in what queued."""
        result = self.result
        result.total += 1
        try:
            if self.socket is None:
                self.connect()
            self.socket.sendall(self.load.request)
            status, body, close = self.answer()
            if not 200 <= status < 300:
                raise BadAnswer(f"status {status}")
            node = body.decode("utf-8", "replace").strip()
            if node and len(node) <= MAX_NODE_NAME and "\n" not in node:
                result.by_node[node] += 1
        except (OSError, BadAnswer) as error:
            result.by_kind[kind_of(error)] += 1
            if len(result.failures) < MAX_FAILURES_KEPT:
                result.failures.append((round(begin - self.load.started, 3), kind_of(error)))
            close = True
            if self.load.failure_pause:
                self.load.stopping.wait(self.load.failure_pause)
        result.latencies.append(time.monotonic() - begin)
        if close:
            self.close()

    def connect(self):
        try:
            self.socket = socket.create_connection(self.load.address, timeout=self.load.timeout)
        except OSError as error:
            raise BadAnswer(f"connect: {kind_of(error)}") from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = self.socket.makefile("rb")
        self.result.connections += 1

    def close(self):
        if self.socket is not None:
            self.stream.close()
            self.socket.close()
            self.socket = self.stream = None

    def answer(self):
        """-> (status, body, whether this connection ends here)"""
        line = self.stream.readline()
        if not line:
            raise BadAnswer("eof before the answer")
        try:
            version, status, *_ = line.split(None, 2)
            status = int(status)
        except ValueError:
            raise BadAnswer("no status line") from None
        headers = self.headers()
        connection = headers.get(b"connection", b"").lower()
        close = (
            not self.load.keepalive
            or connection == b"close"
            or (version == b"HTTP/1.0" and connection != b"keep-alive")
        )
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            body = self.chunks()
        elif b"content-length" in headers:
            body = self.exactly(int(headers[b"content-length"]))
        else:
            body, close = self.stream.read(), True
        return status, body, close

    def headers(self):
        headers = {}
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise BadAnswer("eof in the headers")
            line = line.strip()
            if not line:
                return headers
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()

    def chunks(self):
        body = b""
        while True:
            line = self.stream.readline()
            try:
                size = int(line.split(b";")[0], 16)
            except ValueError:
                raise BadAnswer("eof in the body") from None
            body += self.exactly(size)
            if self.stream.readline() != b"\r\n":
                raise BadAnswer("eof in the body")
            if size == 0:
                return body

    def exactly(self, size):
        data = self.stream.read(size)
        if len(data) != size:
            raise BadAnswer("eof in the body")
        return data


def kind_of(error):
    if isinstance(error, BadAnswer):
        return str(error)
    if isinstance(error, TimeoutError):
        return "timeout"
    return type(error).__name__


class Load:
    """`clients` connections to `url`, each sending the next request when the last one is answered, or together
    `rate` requests a second, due at fixed times. A single result is complete after stop()."""

    def __init__(
        self, url, clients=50, method="GET", keepalive=True, rate=None, body=b"x=1", timeout=10, failure_pause=0.05
    ):
        parts = urlsplit(url)
        self.address = (parts.hostname, parts.port or 80)
        self.keepalive = keepalive
        self.timeout = timeout
        self.failure_pause = failure_pause
        self.interval = clients / rate if rate else None
        self.request = self.compose(parts, method, body)
        self.stopping = threading.Event()
        self.started = None
        self.result = Result()
        self.clients = [Client(self) for _ in range(clients)]
        self.threads = []

    def compose(self, parts, method, body):
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = [f"{method} {target} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: svcreg-load"]
        if not self.keepalive:
            head.append("Connection: close")
        if method == "POST":
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        else:
            body = b""
        return "\r\n".join(head).encode() + b"\r\n\r\n" + body

    def start(self):
        self.started = time.monotonic()
        spread = (self.interval or 0.0) / len(self.clients)
        for number, client in enumerate(self.clients):
            self.threads.append(threading.Thread(target=client.run, args=(number * spread,), daemon=True))
        for thread in self.threads:
            thread.start()
        return self

    def stop(self):
        """Lets every request in flight end, then adds up."""
        self.stopping.set()
        for thread in self.threads:
            thread.join(self.timeout * 2)
            assert not thread.is_alive(), "a client did not end"
        for client in self.clients:
            self.result.add(client.result)
        self.clients = self.threads = []
        return self.result

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()


def assert_lossless(*loads):
    """None of these loads, each of which is over, has lost a request."""
    for load in loads:
        print(load.result)
        assert load.result.failed == 0, load.result
        assert load.result.total > 50
