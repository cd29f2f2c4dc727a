"""
Stands for very many FPM pools: unix sockets that answer every FastCGI request as FPM answers a ping. A thousand real
ones would not fit on a test machine, and what costs here is the number of sockets. Run by itself it is the server; see
ManyFpms.
"""

import contextlib
import os
import selectors
import socket
import struct
import subprocess
import sys
from pathlib import Path

from . import fcgi
from .waiting import until

NOT_FOUND = b"Status: 404 Not Found\r\nContent-type: text/html; charset=UTF-8\r\n\r\nFile not found.\n"
ANSWER = fcgi.record(fcgi.STDOUT, NOT_FOUND) + fcgi.record(fcgi.END, struct.pack("!IB3x", 0, 0))


class ManyFpms:
    """`with ManyFpms(directory, 1000) as pools:` – `pools.config` is for a Helper; `pools.hang(7)` lets one hang."""

    def __init__(self, directory, count):
        self.directory = Path(directory) / "pools"
        self.names = [f"p{number}" for number in range(count)]
        self.config = [{"name": name, "listen": str(self.directory / name), "max_children": 1} for name in self.names]
        self.process = None

    def __enter__(self):
        self.directory.mkdir()
        command = [sys.executable, "-m", "support.many_fpms", str(self.directory), str(len(self.names))]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, text=True)
        until(lambda: (self.directory / self.names[-1]).exists(), 10, "all listen")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def hang(self, *numbers):
        """These accept, and never answer any more."""
        for number in numbers:
            self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()


def serve(directory, count):
    """Until killed; a number on stdin names a pool that is to hang."""
    poll = selectors.EpollSelector()
    hanging = set()
    os.set_blocking(0, False)
    poll.register(0, selectors.EVENT_READ, None)
    for number in range(count):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{directory}/p{number}")
        listener.listen(128)
        listener.setblocking(False)
        poll.register(listener, selectors.EVENT_READ, number)
    while True:
        for key, _ in poll.select():
            if key.fileobj == 0:
                hanging.update(map(int, os.read(0, 65536).split()))
            elif isinstance(key.data, int):
                client, _ = key.fileobj.accept()
                poll.register(client, selectors.EVENT_READ, (key.data, client))
            else:
                number, client = key.data
                data = b""
                with contextlib.suppress(ConnectionError):  # a helper that ends in the midst of a ping
                    data = client.recv(65536)
                    if data and number not in hanging:
                        client.send(ANSWER)
                if not data:
                    poll.unregister(client)
                    client.close()


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
