"""A prober that asks without a pause from a process of its own, and how long each answer took."""

import multiprocessing
import socket
import time

from .wire import percentile


def _ask(path, request, over, pipe):
    took = []
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(path)
        while not over.is_set():
            begin = time.perf_counter()
            sock.sendall(request)
            answer = sock.recv(65536)
            took.append(time.perf_counter() - begin)
            assert answer.startswith(b"HTTP/1.1 ") and answer.endswith(b"\n"), answer
            time.sleep(0.001)
    pipe.send(took)


class Probes:
    """`with Probes(helper, "/haproxy/web") as probes:` – afterwards `probes.p99_ms` and `probes.count`."""

    def __init__(self, helper, path="/live"):
        fork = multiprocessing.get_context("fork")
        self.over = fork.Event()
        self.pipe, end = fork.Pipe()
        request = f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        self.process = fork.Process(target=_ask, args=(f"{helper.directory}/health.sock", request, self.over, end))

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        took = self.pipe.recv() if self.pipe.poll(30) else []
        self.process.join()
        assert took, "the prober did not end well"
        self.count = len(took)
        self.median_ms, self.p99_ms, self.worst_ms = (1000 * percentile(took, share) for share in (0.5, 0.99, 1))

    def __str__(self):
        return f"{self.count} probes: median {self.median_ms:.2f}, p99 {self.p99_ms:.2f}, worst {self.worst_ms:.2f} ms"
