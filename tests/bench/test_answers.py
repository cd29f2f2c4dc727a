"""What one answer costs in system calls, counted: 16 probers ask at once, again and again."""

import contextlib
import os
import shutil
import signal
import socket
import struct
import time

import pytest
from support.helper import Helper
from support.processes import is_stopped
from support.waiting import free_port, until
from support.wire import kernel_queue

from bench import servers
from bench.measure import system_calls

PROBERS, ROUNDS, RUNS = 16, 20, 3
SEGMENTS_IN = 140  # in struct tcp_info
STARTUP_S = 3.5  # what happens once after it is not an answer's
pytestmark = pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")


@pytest.fixture
def helper(workdir):
    port = free_port()
    listens = [f"unix:{workdir}/health.sock", f"127.0.0.1:{port}"]
    with servers.fpm_with(workdir, 1) as (_, pools), Helper(workdir, pools, health_listen=listens) as helper:
        if "libasan" in helper.proc("maps"):
            pytest.skip("a sanitizer has system calls of its own")
        helper.port = port
        time.sleep(STARTUP_S)
        yield helper


@contextlib.contextmanager
def asleep(helper):
    """Stops it, so that everything that is asked meanwhile is there when it looks."""
    pid = helper.process.pid
    os.kill(pid, signal.SIGSTOP)
    until(lambda: is_stopped(pid), what="it is stopped")
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def connected(helper):
    return socket.create_connection(("127.0.0.1", helper.port), 5)


def answered(sock):
    data = b""
    while not data.endswith(b"\r\n\r\nlive\n"):
        piece = sock.recv(65536)
        assert piece, data
        data += piece


def test_keep_alive_costs_at_most_2_2_system_calls(helper, record_property):
    with contextlib.ExitStack() as stack:
        probers = [stack.enter_context(connected(helper)) for _ in range(PROBERS)]

        def ask():
            for _ in range(ROUNDS):
                with asleep(helper):
                    for sock in probers:
                        sock.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
                for sock in probers:
                    answered(sock)

        ask()
        assert cost(helper, ask, record_property) <= 2.2


def test_a_new_connection_costs_at_most_5_system_calls(helper, record_property):
    def ask():
        for _ in range(ROUNDS):
            with contextlib.ExitStack() as stack:
                probers = [stack.enter_context(connected(helper)) for _ in range(PROBERS)]
                until(lambda: kernel_queue(f"127.0.0.1:{helper.port}") == 0, what="none waits to be accepted")
                with asleep(helper):
                    for sock in probers:
                        sock.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                for sock in probers:
                    answered(sock)
                    assert sock.recv(1) == b""

    ask()
    assert cost(helper, ask, record_property) <= 5


def test_the_last_answer_and_the_end_come_in_one_packet(helper):
    with connected(helper) as sock:
        sock.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answered(sock)
        assert sock.recv(1) == b""
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        [segments] = struct.unpack_from("=I", info, SEGMENTS_IN)
        assert segments <= 3  # one for the connection, one that takes note of the request, one with answer and end


def cost(helper, ask, record_property):
    """System calls an answer: the least of some runs, for what the helper does by the clock can only add to them."""
    runs = [system_calls(helper.process.pid, ask)[0] for _ in range(RUNS)]
    made = min(runs, key=lambda run: sum(run.values()))
    each = sum(made.values()) / (PROBERS * ROUNDS)
    print(f"{each:.2f} system calls an answer: {made}")
    record_property("system_calls_an_answer", each)
    return each
