"""Takes down what a real prober sends: a listener that answers 200 and keeps the bytes."""

import contextlib
import re
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from support.waiting import until

RECORDED = Path(__file__).parent / "recorded"
CHECK_HTTP = "/usr/lib/nagios/plugins/check_http"
HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n"


class Recorder:
    """`with Recorder() as recorder:` listens on `port`; `sent` are the requests, each whole up to its empty line."""

    def __init__(self):
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.sent = []
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.close()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(5)
                    request = b""
                    while b"\r\n\r\n" not in request and (piece := connection.recv(4096)):
                        request += piece
                    self.sent.append(request)
                    connection.sendall(OK)

    def first(self):
        """The first request, its port the one that the files have."""
        until(lambda: self.sent, 15, "the prober asks")
        return re.sub(rb"127\.0\.0\.1:\d+", b"127.0.0.1:9180", self.sent[0])


def from_haproxy(directory, *check):
    """HAProxy's httpchk with these `http-check` lines."""
    with Recorder() as recorder:
        config = directory / "haproxy.cfg"
        lines = ["backend b", "    mode http", "    option httpchk", *(f"    {line}" for line in check)]
        lines += ["    timeout check 1s", "    timeout connect 1s", "    timeout server 1s"]
        lines += [f"    server s 127.0.0.1:{recorder.port} check inter 100ms"]
        lines += ["frontend f", "    mode http", "    timeout client 1s", f"    bind unix@{directory}/f.sock"]
        config.write_text("\n".join([*lines, "    default_backend b", ""]))
        process = subprocess.Popen([HAPROXY, "-db", "-f", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return recorder.first()
        finally:
            process.kill()
            process.wait()


def from_consul(consul):
    """Consul's HTTP check."""
    with Recorder() as recorder:
        check = {"ID": "recorded", "Name": "recorded", "HTTP": f"http://127.0.0.1:{recorder.port}/consul/web"}
        consul.put("/v1/agent/check/register", {**check, "Interval": "1s", "Timeout": "1s"})
        try:
            return recorder.first()
        finally:
            consul.put("/v1/agent/check/deregister/recorded")


def from_check_http():
    """check_http of the monitoring plugins."""
    with Recorder() as recorder:
        command = [CHECK_HTTP, "-I", "127.0.0.1", "-p", str(recorder.port), "-u", "/health/web"]
        subprocess.run(command, stdout=subprocess.DEVNULL, timeout=10)
        return recorder.first()
