"""A helper that dies while all workers are busy: its successor believes the board, or the requests that finish."""

import contextlib
import os
import signal
import threading
import time

import pytest
from support import board as boards
from support import fcgi
from support.consul import our_check
from support.fpm import Fpm
from support.helper import Helper
from support.node import SO, Node
from support.waiting import until


class Watch:
    """Notes every status of a service's check that Consul's blocking queries show."""

    def __init__(self, consul, service):
        self.seen = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.follow, args=(consul, service), daemon=True)

    def follow(self, consul, service):
        index = 0
        while not self.over.is_set():
            path = f"/v1/health/service/{service}?index={index}&wait=300ms"
            with contextlib.suppress(OSError):
                entries, index = consul.request("GET", path)
                self.seen += [our_check(entry)["Status"] for entry in entries] or ["gone"]

    def __enter__(self):
        self.thread.start()
        until(lambda: self.seen, what="the first answer")
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join(5)


def occupy(fpm, count, ms):
    """Sends requests that last so long and are not read."""
    script = fpm.script("sleep.php", "<?php usleep(1000 * (int) $_GET['ms']);")
    sockets = [fcgi.connect(fpm.listen()) for _ in range(count)]
    for sock in sockets:
        fcgi.send(sock, script, f"ms={ms}")
    return sockets


@pytest.mark.skipif(not os.path.exists(SO), reason="no svcreg.so on this machine")
def test_a_saturated_pool_stays_in_service_when_its_helper_dies(workdir, consul):
    with Node(workdir, "restart", consul) as node:
        node.wait_passing()
        sockets = occupy(node, 2 + 4, 20000)
        node.wait_state("degraded")
        consul.wait_status(node.service(), "warning")
        states = []
        with Watch(consul, node.service()) as watch:
            first = node.helper_pid()
            os.kill(first, signal.SIGKILL)
            until(lambda: node.helper_pids() not in ([], [first]), 3, "another helper")
            deadline = time.monotonic() + 2
            while time.monotonic() < deadline:
                states += [node.pool_status().get("state")]
        for sock in sockets:
            sock.close()
        assert set(states) - {None} <= {"degraded", "healthy"}, states
        assert "degraded" in states
        assert set(watch.seen) <= {"warning", "passing"}, watch.seen


def test_requests_that_finish_are_as_good_as_a_ping(workdir):
    board = boards.Board({"web": 2})
    try:
        with Fpm(workdir) as fpm:
            board.set_master(fpm.pid)
            sockets = occupy(fpm, 2, 8000)
            for number in range(2):
                slot = board.slot(number)
                slot.pid, slot.busy, slot.requests = os.getpid(), 1, 1
            pools = [{"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 2}]
            with Helper(workdir, pools, board=board) as helper:
                time.sleep(0.3)
                assert helper.pool()["state"] == "starting", "nothing of it was ever seen to answer"
                board.slot(0).requests += 1  # the next one has begun: so one has ended
                helper.wait_state("healthy", timeout=1)
            for sock in sockets:
                sock.close()
    finally:
        board.close()
