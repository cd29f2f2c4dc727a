"""Something that listens like a PHP-FPM and answers as a test tells it to."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

from support import fcgi
from support.waiting import until

END = fcgi.record(fcgi.END, struct.pack("!IB3x", 0, 0))
PAGE = (
    b'{"pool":"web","process manager":"static","start time":1,"start since":1,"accepted conn":1,"listen queue":0,'
    b'"max listen queue":0,"listen queue len":511,"idle processes":1,"active processes":1,"total processes":2}'
)
HTML = b"Content-type: text/html; charset=UTF-8\r\n"


def answer(head, body=b""):
    """A whole FastCGI answer with this output."""
    return fcgi.record(fcgi.STDOUT, head + b"\r\n" + body) + END


class FakeFpm:
    """
    `with FakeFpm(path, behave) as fake:` calls `behave(connection)` for each one, and closes it then. `stop()` is the
    end of what serves there; the socket's file stays, as it does where FPM is killed.
    """

    def __init__(self, path, behave):
        Path(path).unlink(missing_ok=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        Path(path).chmod(0o666)
        self.server.listen(64)
        self.behave = behave
        self.connections = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        with contextlib.suppress(OSError):
            self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            self.behave(connection)


def says(data):
    """Reads a request, sends these bytes, closes."""

    def behave(connection):
        connection.recv(65536)
        connection.sendall(data)

    return behave


def silent(connection):
    """Takes everything and never answers."""
    while connection.recv(65536):
        pass


def slow(data):
    """One byte every tenth of a second."""

    def behave(connection):
        connection.recv(65536)
        for byte in data:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)

    return behave


def wait_asked(fake, times):
    until(lambda: fake.connections >= times, 15, f"asked {times} times")
