"""A FastCGI client: enough to send FPM a request and read its answer."""

import contextlib
import socket
import struct
from dataclasses import dataclass, field

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR = 1, 2, 3, 4, 5, 6, 7


@dataclass
class Answer:
    """FPM's answer: CGI status, headers with lower-case names, body, what it wrote to stderr."""

    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    errors: bytes = b""


def record(kind, content=b""):
    return struct.pack("!BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def pair(name, value):
    def length(n):
        return bytes([n]) if n < 128 else struct.pack("!I", n | 0x80000000)

    name, value = name.encode(), str(value).encode()
    return length(len(name)) + length(len(value)) + name + value


def connect(address, timeout=10.0):
    """Connects to `host:port` or a socket's path."""
    if address.startswith("/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timeout)
        sock.connect(address)
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]").replace("*", "127.0.0.1"), int(port)), timeout)


def send(sock, script, query="", method="GET", body=b"", **params):
    """Sends one request; `receive` reads its answer."""
    values = {
        "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_METHOD": method,
        "SCRIPT_FILENAME": script, "SCRIPT_NAME": f"/{str(script).rpartition('/')[2]}",
        "REQUEST_URI": f"/?{query}", "QUERY_STRING": query, "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": len(body) or "", "CONTENT_TYPE": "text/plain" if body else "", **params,
    }  # fmt: skip
    stream = record(BEGIN, struct.pack("!HB5x", 1, 0))
    stream += record(PARAMS, b"".join(pair(k, v) for k, v in values.items())) + record(PARAMS)
    sock.sendall(stream + (record(STDIN, body) if body else b"") + record(STDIN))


def receive(sock):
    """Reads the answer up to its END_REQUEST; EOFError when FPM closes before."""

    def exactly(n):
        data = b""
        while len(data) < n:
            piece = sock.recv(n - len(data))
            if not piece:
                raise EOFError("FPM closed the connection in the middle of an answer")
            data += piece
        return data

    answer, out = Answer(), b""
    while True:
        _, kind, _, length, padding, _ = struct.unpack("!BBHHBB", exactly(8))
        content = exactly(length + padding)[:length]
        if kind == STDOUT:
            out += content
        elif kind == STDERR:
            answer.errors += content
        elif kind == END:
            break
    head, _, answer.body = out.partition(b"\r\n\r\n")
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        answer.headers[name.lower()] = value.strip()
    answer.status = int(answer.headers.pop("status", "200").split()[0])
    return answer


def finish(sock):
    """Reads an answer to its end and closes: until then FPM keeps the worker for it."""
    with contextlib.suppress(OSError, EOFError), sock:
        receive(sock)


def request(address, script, query="", method="GET", body=b"", timeout=10.0, **params):
    """One request on a connection of its own."""
    with connect(address, timeout) as sock:
        send(sock, script, query, method, body, **params)
        return receive(sock)
