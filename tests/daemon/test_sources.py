"""What is seen of FPM in another network namespace, by a status socket of its own, and where it never answers."""

import contextlib
import os
import selectors
import socket
import threading
import time

import pytest
from support import fcgi
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.waiting import FULL, until

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a network namespace")


class Silent:
    """A pool that takes connections and never answers; counts how many are open together, and at most."""

    def __init__(self, path):
        self.path = str(path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(128)
        self.open = self.most = self.all = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        poll = selectors.DefaultSelector()
        poll.register(self.listener, selectors.EVENT_READ)
        with contextlib.suppress(OSError, ValueError):
            while True:
                for key, _ in poll.select():
                    if key.fileobj is self.listener:
                        client, _ = self.listener.accept()
                        poll.register(client, selectors.EVENT_READ)
                        self.open += 1
                        self.all += 1
                        self.most = max(self.most, self.open)
                    elif not key.fileobj.recv(65536):
                        poll.unregister(key.fileobj)
                        key.fileobj.close()
                        self.open -= 1


@pytest.fixture
def elsewhere(monkeypatch, workdir):
    """The helper in a network namespace of its own: it sees none of FPM's sockets, as in another container."""
    wrapper = workdir / "fpm-health"
    wrapper.write_text(f'#!/bin/sh\nexec unshare --net {BIN} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setattr("support.helper.BIN", str(wrapper))


@needs_root
def test_fpm_of_another_container_is_known_by_fastcgi_alone(workdir, elsewhere):
    own = {"pm.status_path": "/status", "pm.max_children": 3}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 3, "status_path": "/status"}]
        with Helper(workdir, pools) as helper:
            helper.wait_state("healthy")
            until(lambda: helper.pool()["workers"]["total"] == 3, what="FPM's page says how many work")
            assert helper.pool()["queue"] == {"length": None, "max": None}, "that is not known here"
            script = fpm.script("sleep.php", "<?php sleep(3);")
            busy = [fcgi.connect(fpm.listen()) for _ in range(3)]
            for sock in busy:
                fcgi.send(sock, script)
            deadline = time.monotonic() + 2.5
            while time.monotonic() < deadline:
                assert helper.pool()["state"] in ("healthy", "degraded"), "busy is not down"
                time.sleep(0.05)
            for sock in busy:
                sock.close()
            helper.wait_state("healthy", timeout=10)
            fpm.stop()
            helper.wait_state("down", timeout=10)
            assert helper.pool()["reason"] in ("connection refused", "socket is gone")
            fpm.start()
            helper.wait_state("healthy", timeout=10)


@needs_root
def test_fpm_of_another_container_is_starting_until_it_answers(workdir, elsewhere):
    with Helper(workdir, [{"name": "web", "listen": str(workdir / "web.sock")}]) as helper:
        until(lambda: helper.pool()["state"] == "starting", what="starting")
        with Fpm(workdir):
            helper.wait_state("healthy", timeout=10)


def test_a_status_socket_of_its_own_answers_while_all_workers_are_busy(workdir):
    status = str(workdir / "status.sock")
    own = {"pm.status_path": "/status", "pm.status_listen": status, "pm.max_children": 2}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "status_path": "/status", "status_listen": status}]
        with Helper(workdir, pools) as helper:
            helper.wait_state("healthy")
            script = fpm.script("sleep.php", "<?php sleep(20);")
            busy = [fcgi.connect(fpm.listen()) for _ in range(2 + 3)]
            for sock in busy:
                fcgi.send(sock, script)
            helper.wait_state("degraded", timeout=5)
            until(lambda: helper.pool()["workers"]["active"] == 2, what="the page of the other socket")
            assert helper.pool()["queue"]["length"] == 3, "none of it is ours"
            assert (helper.pool()["workers"]["total"], helper.pool()["requests"]) == (2, 2), "nor is a worker"
            for sock in busy:
                sock.close()


@pytest.mark.parametrize("more", [{}, {"status_path": "/status"}], ids=["ping", "status"])
def test_a_pool_that_never_answers_is_asked_one_at_a_time_and_ever_more_seldom(workdir, more):
    silent = Silent(workdir / "web.sock")
    with Helper(workdir, [{"name": "web", "listen": silent.path, **more}]) as helper:
        until(lambda: "no answer in time" in helper.pool()["reason"], 15, "the reason is said")
        time.sleep(15 if FULL else 3)
        assert helper.pool()["state"] == "starting", "nothing proves that it could serve"
        assert silent.most == 1
        assert silent.all <= 8, "a second each, and pauses that double"
        assert helper.get("/live")[0] == 200
    silent.listener.close()
