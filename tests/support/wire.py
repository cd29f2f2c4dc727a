"""A prober on the wire: a connection a question, timed from connect to the last byte; the kernel's word on queues."""

import math
import re
import socket
import subprocess

from . import fcgi
from .clock import SELF, Stopwatch

ANSWER_MAX_MS = 5.0  # what every answer is held to, by its 99th percentile


def get(path, host="localhost"):
    """The bytes of a plain GET that is answered once."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def read_all(sock):
    received = b""
    while piece := sock.recv(65536):
        received += piece
    return received


def exchange(address, data, timeout=10.0):
    """Connects to `host:port` or a path, sends, and reads until the other side closes."""
    with fcgi.connect(str(address), timeout) as sock:
        if isinstance(address, str) and ":" in address:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if data:
            sock.sendall(data)
        return read_all(sock)


class Took(float):
    """Milliseconds by the clock; `own` is less the time that those who took part stood in line for a processor."""

    own = 0.0


def latencies_ms(address, data, count, good=None, pids=()):
    """
    Asks `count` times, each on a connection of its own; `good(answer)` has to hold for every one. `pids` are those who
    answer: what else the machine has to do is not measured.
    """
    took = []
    for _ in range(count):
        watch = Stopwatch(SELF, *pids)
        answer = exchange(address, data)
        one = Took(1000 * watch.clock_s())
        one.own = 1000 * watch.seconds()
        took.append(one)
        assert good is None or good(answer), answer[:500]
    return took


def in_time(took):
    """Whether 99 of 100 answers came within ANSWER_MAX_MS."""
    return percentile([one.own for one in took], 0.99) <= ANSWER_MAX_MS


def metric(text, name, pool):
    """The value of a pool's only sample of this name, whatever else its labels are; None where it has none."""
    found = re.search(rf'^{name}\{{pool="{pool}"[^}}]*\}} (\S+)$', text, re.M)
    return float(found[1]) if found else None


def percentile(values, share):
    """The nearest rank: the least value that so great a share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


FIGURES = ("min", "p50", "p99", "max", "p99 of our own")


def figures(took):
    """What FIGURES names, in milliseconds."""
    clock = [min(took), percentile(took, 0.5), percentile(took, 0.99), max(took)]
    return [f"{ms:.2f}" for ms in (*clock, percentile([one.own for one in took], 0.99))]


def kernel_queue(listen):
    """Connections that wait to be accepted on a listening socket, as ss(8) has it from the kernel."""
    kind = ["-x"] if listen.startswith("/") else ["-t", "sport", "=", ":" + listen.rpartition(":")[2]]
    output = subprocess.run(["ss", "-H", "-l", "-n", *kind], check=True, capture_output=True, text=True).stdout
    for line in output.splitlines():
        fields = line.split()
        if not listen.startswith("/"):
            return int(fields[1])
        if listen in fields:
            return int(fields[2])
    raise AssertionError(f"nobody listens on {listen}: {output}")


def rows_of(heading, rows):
    """Lines of a table, its columns as wide as they must be."""
    table = [heading, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(heading))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
