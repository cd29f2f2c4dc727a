"""Bounded waits: for a condition that nothing announces, and free ports to listen on."""

import os
import socket
import time

from .standstill import WATCH

FULL = os.environ.get("SVCREG_FULL") == "1"  # as often as the promises say, instead of often enough to notice a break


def until(condition, timeout=5.0, what="the condition", every=0.01):
    """
    Polls `condition` until it is true and returns what it returned; fails after `timeout` seconds, and those in which
    the machine stood still.
    """
    deadline = time.monotonic() + timeout - WATCH.seconds()
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() - WATCH.seconds() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(every)


def free_port():
    """
    A TCP port of 127.0.0.1 for whoever asks for it by its number. A connection to it has just ended: that keeps the
    kernel for a minute from giving it to anybody who takes any, another test's client among them.
    """
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        server.accept()[0].close()
        return server.getsockname()[1]


def free_ports(count):
    """So many of them."""
    return [free_port() for _ in range(count)]
