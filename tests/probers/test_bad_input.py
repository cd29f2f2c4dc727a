"""What nobody should send, and how much of it: refused as due, in bounded memory, while others are answered in time."""

import contextlib
import multiprocessing
import os
import random
import resource
import socket
import struct
import subprocess
import threading
from concurrent.futures import ProcessPoolExecutor

import pytest
from support import fcgi, wire
from support.clock import SELF, Stopwatch
from support.fpm import Fpm
from support.helper import Helper, listens
from support.memory import memory_kb
from support.waiting import free_ports, until

CONNECTIONS = 10_000
SILENT_EACH = 20  # the kernel keeps those that say nothing for a second, but of thousands it makes SYN cookies
IDLE_MAX_KB = 4096  # for all of CONNECTIONS: what the process keeps, the kernel's sockets apart
HELD_MAX_KB = 16 * 1024 + 2048  # answers that slow readers have not taken, and what the allocator rounds up
UNREAD_MAX_KB = 256  # what the kernel holds of them for each
HEAD_S = 5  # from the first byte of a request to its last
PROBES = 2000


@pytest.fixture(scope="module", autouse=True)
def many_descriptors():
    """As many descriptors as this process may have: the helper inherits them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * CONNECTIONS + 1000,) * 2)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, min(hard, most)))


@pytest.fixture
def helper(workdir):
    """A helper with a healthy pool, its HTTP and agent ports in `at` and `agent`."""
    http, agent = free_ports(2)
    with Fpm(workdir) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2}, {"name": "other", "listen": "/nowhere"}]
        with Helper(workdir, pools, **listens(workdir, http, agent)) as helper:
            helper.at, helper.agent = f"127.0.0.1:{http}", f"127.0.0.1:{agent}"
            helper.wait_state("healthy")
            yield helper
            assert helper.process.poll() is None, helper.log_text()


def others(helper, count=PROBES):
    """How long other probers wait meanwhile, in milliseconds."""
    good, pids = (lambda answer: b" 200 OK" in answer), [helper.process.pid]
    return wire.latencies_ms(helper.at, wire.get("/haproxy/web"), count, good, pids)


@pytest.fixture
def judge(helper, show):
    """`judge(what, took)` shows others' latencies and the helper's memory, and holds the first to its bound."""
    before = memory_kb(helper.process.pid).anonymous

    def judge(what, took, seen=""):
        now = memory_kb(helper.process.pid).anonymous
        heading = [*wire.FIGURES, "ms; anonymous kB before", "now", ""]
        show(what, heading, [[*wire.figures(took), str(before), str(now), seen]])
        assert wire.in_time(took)
        return now - before

    return judge


def unread(helper):
    """Bytes that wait in the helper's send buffers."""
    port = helper.at.rpartition(":")[2]
    command = ["ss", "-H", "-t", "-n", "sport", "=", f":{port}"]
    return sum(int(line.split()[2]) for line in subprocess.check_output(command, text=True).splitlines())


def until_closed(sock):
    """Everything until the other side closes or resets."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while piece := sock.recv(65536):
            received += piece
    return received


def reset(sock):
    """Closes with an RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_one_byte_a_second_is_given_up_after_five(helper, judge):
    sockets = [fcgi.connect(helper.at) for _ in range(200)]
    request, took, gone = wire.get("/live"), [], []
    watch = Stopwatch(helper.process.pid)
    for i in range(HEAD_S + 2):
        for sock in sockets:
            with contextlib.suppress(ConnectionError):
                sock.sendall(request[i : i + 1])
        while watch.clock_s() < i + 1:
            took += others(helper, 100)
            gone.append(sum(peek(sock) == b"" for sock in sockets))
        if gone[-1] == len(sockets):
            break
    seconds, own = watch.clock_s(), watch.seconds()
    judge("200 clients, one byte a second", took, f"closed after {seconds:.1f} s")
    assert gone[-1] == len(sockets), "all are given up"
    assert seconds >= HEAD_S - 0.5
    assert own <= HEAD_S + 1.5
    for sock in sockets:
        sock.close()


def peek(sock):
    """b"" once the other side has closed, None while it has not."""
    sock.setblocking(False)
    try:
        return sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def pour(sock, data):
    with contextlib.suppress(OSError):
        sock.sendall(data)


@pytest.mark.parametrize("begin, status", [
    (b"GET /live HTTP/1.1\r\nX: ", b"431"),
    (b"GET /", b"431"),
    (b"POST / HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n", b"413"),
], ids=["headers", "path", "body"])  # fmt: skip
def test_a_megabyte_is_refused_as_it_should_be_and_not_kept(helper, judge, begin, status):
    took, answers = [], []
    for _ in range(20):
        with fcgi.connect(helper.at) as sock:
            sender = threading.Thread(target=pour, args=(sock, begin + b"x" * (1 << 20)))
            sender.start()
            took += others(helper, 50)
            answers.append(until_closed(sock))
            sender.join(10)
    grown = judge(f"20 × 1 MB: {status.decode()}", took)
    assert all(answer.startswith(b"HTTP/1.1 " + status) for answer in answers), answers
    assert grown < 1024


def test_garbage_is_400_or_closed_and_nothing_else(helper, judge):
    dice, answers = random.Random(1), []
    for i in range(2000):
        length = dice.randrange(1, 300)
        garbage = dice.randbytes(length) + (b"\r\n\r\n" if i % 2 else b"\n")
        with fcgi.connect(helper.at) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            answers.append(until_closed(sock)[:12])
    kinds = sorted({answer.decode("latin-1") for answer in answers})
    grown = judge("2,000 × garbage", others(helper), str(kinds))
    assert set(kinds) <= {"", "HTTP/1.1 400"}
    assert answers.count(b"HTTP/1.1 400") > 1000
    assert grown < 1024


def pipeline(at):
    """Thousands of requests at once; how many were answered. The answers do not fit into the socket's buffers."""
    os.nice(15)  # on a machine of its own it would not take CPU from who measures here
    requests = b"GET /metrics HTTP/1.1\r\n\r\n" * 2000 + wire.get("/live")
    with fcgi.connect(at, 60) as sock:
        sender = threading.Thread(target=pour, args=(sock, requests))
        sender.start()
        answered = until_closed(sock).count(b"HTTP/1.1 200 OK")
        sender.join()
    return answered


def test_pipelines_of_thousands_are_answered_whole_and_delay_nobody_else(helper, judge):
    with ProcessPoolExecutor(
        2, multiprocessing.get_context("fork")
    ) as clients:  # not threads: those would delay `others`
        counts = [clients.submit(pipeline, helper.at) for _ in range(4)]
        took = others(helper)
        counts = [count.result() for count in counts]
    judge("4 pipelines of 2,000 × /metrics", took, f"answered: {counts}")
    assert counts == [2001] * 4


def test_readers_that_never_read_hold_sixteen_megabytes_at_most(helper, judge):
    sockets = []
    for _ in range(300):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", int(helper.at.rpartition(":")[2])))
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.send(b"GET /metrics HTTP/1.1\r\n\r\n" * 2000)
        sockets.append(sock)
    took, unread_kb = others(helper), unread(helper) // 1024
    grown = judge("300 clients that ask 2,000 times and never read", took, f"{unread_kb} kB in the kernel's buffers")
    assert grown <= HELD_MAX_KB
    assert unread_kb <= 300 * UNREAD_MAX_KB
    for sock in sockets:
        sock.close()


def test_half_a_request_and_half_a_connection_end_both(helper):
    with fcgi.connect(helper.at) as sock:
        sock.sendall(b"GET /live HTTP/1.1\r\n")
        sock.shutdown(socket.SHUT_WR)
        watch = Stopwatch(SELF, helper.process.pid)
        assert until_closed(sock) == b""
        assert watch.seconds() < 1


@pytest.mark.parametrize("data", [b"", b"GET /li", wire.get("/metrics")], ids=["nothing", "half", "whole"])
def test_resets_by_the_thousand_harm_nobody(helper, judge, data):
    for _ in range(2000):
        sock = fcgi.connect(helper.at)
        if data:
            sock.sendall(data)
        reset(sock)
        agent = fcgi.connect(helper.agent)
        reset(agent)
    descriptors = len(list_descriptors(helper))
    grown = judge(f"2,000 × {data[:7]!r} and RST", others(helper), f"{descriptors} descriptors open")
    assert grown < 1024
    until(lambda: len(list_descriptors(helper)) < 40, what="all of their descriptors are closed")


def list_descriptors(helper):
    return os.listdir(f"/proc/{helper.process.pid}/fd")


def test_ten_thousand_idle_connections_cost_little_and_delay_nobody(helper, judge):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most < CONNECTIONS + 200:
        pytest.skip(f"only {most} descriptors")
    empty = len(list_descriptors(helper))
    sockets, took = [], []
    for i in range(CONNECTIONS):
        sockets.append(fcgi.connect(helper.at))
        if i % SILENT_EACH:  # kept alive
            sockets[-1].sendall(b"GET /live HTTP/1.1\r\n\r\n")
        if i % 10 == 0:
            took += others(helper, 1)
    until(lambda: len(list_descriptors(helper)) >= empty + CONNECTIONS, 15, "all are open")
    took += others(helper)
    grown = judge(f"{CONNECTIONS} idle connections", took)
    assert grown <= IDLE_MAX_KB
    assert all(b"live\n" in sock.recv(1000) for i, sock in enumerate(sockets) if i % SILENT_EACH)
    for sock in sockets:
        sock.close()
    until(lambda: len(list_descriptors(helper)) < empty + 20, 10, "all are closed")


def test_out_of_descriptors_the_longest_idle_makes_room(workdir):
    limit, (http,) = 200, free_ports(1)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    helper = Helper(workdir, [{"name": "web", "listen": "/nowhere"}], health_listen=[
        f"127.0.0.1:{http}", f"unix:{workdir}/health.sock"])  # fmt: skip
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        helper.start()
        resource.prlimit(helper.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        sockets = []
        for _ in range(2 * limit):
            sockets.append(fcgi.connect(f"127.0.0.1:{http}"))
            sockets[-1].sendall(b"GET /live HTTP/1.1\r\n\r\n")
            assert sockets[-1].recv(1000).endswith(b"live\n")
        assert wire.exchange(f"127.0.0.1:{http}", wire.get("/live")).endswith(b"live\n")
        assert peek(sockets[0]) == b"", "the first one made room"
        assert peek(sockets[-1]) is None
        for sock in sockets:
            sock.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        helper.stop()
