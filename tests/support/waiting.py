"""Bounded waits: for a condition that nothing announces, and free ports to listen on."""

import os
import socket
import time

FULL = os.environ.get("SVCREG_FULL") == "1"  # as often as the promises say, instead of often enough to notice a break


def until(condition, timeout=5.0, what="the condition", every=0.01):
    """Polls `condition` until it is true and returns what it returned; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s")
        time.sleep(every)


def free_ports(count):
    """`count` TCP ports of 127.0.0.1 that were free a moment ago."""
    held = [socket.socket() for _ in range(count)]
    try:
        for sock in held:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in held]
    finally:
        for sock in held:
            sock.close()


def free_port():
    """A TCP port of 127.0.0.1 that was free a moment ago."""
    return free_ports(1)[0]
