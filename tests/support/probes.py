"""A prober that asks without a pause from a process of its own, and how long each answer took."""

import multiprocessing
import socket
import time

from .clock import SELF, Stopwatch
from .wire import percentile


def _ask(path, request, pid, over, pipe):
    took = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        while not over.is_set():
            watch = Stopwatch(SELF, pid)
            sock.sendall(request)
            answer = sock.recv(65536)
            took.append((watch.clock_s(), watch.seconds()))
            assert answer.startswith(b"HTTP/1.1 ") and answer.endswith(b"\n"), answer
            time.sleep(0.001)
    pipe.send(took)


class Probes:
    """
    `with Probes(helper, "/haproxy/web") as probes:` – afterwards `probes.p99_ms` is of the time that is the helper's
    and the prober's own: what else the machine does is not measured. The other figures are by the clock.
    """

    def __init__(self, helper, path="/live"):
        fork = multiprocessing.get_context("fork")
        self.over = fork.Event()
        self.pipe, end = fork.Pipe()
        request = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        at = f"{helper.directory}/health.sock"
        self.process = fork.Process(target=_ask, args=(at, request, helper.process.pid, self.over, end))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        took = self.pipe.recv() if self.pipe.poll(30) else []
        self.process.join()
        assert took, "the prober did not end well"
        self.count = len(took)
        clock, own = ([1000 * seconds for seconds in column] for column in zip(*took, strict=True))
        self.median_ms, self.clock_p99_ms, self.worst_ms = (percentile(clock, share) for share in (0.5, 0.99, 1))
        self.p99_ms = percentile(own, 0.99)

    def __str__(self):
        clock = f"median {self.median_ms:.2f}, p99 {self.clock_p99_ms:.2f}, worst {self.worst_ms:.2f} ms"
        return f"{self.count} probes: {clock}; p99 of our own {self.p99_ms:.2f} ms"
