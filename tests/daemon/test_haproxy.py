"""
A real HAProxy that asks a live helper in both of its ways, and what its stats say then.

The servers that speak FastCGI track those that are checked: within a FastCGI backend HAProxy 2.6 never takes the answer
to an HTTP check.
"""

import csv
import io
import shutil
import socket
import subprocess
import time

import pytest
from support import fcgi
from support.fpm import Fpm, Held
from support.helper import Helper, listens
from support.waiting import free_ports, until

BIN = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
pytestmark = pytest.mark.skipif(BIN is None, reason="no haproxy on this machine")
INTERVAL_MS = 100
WORKERS = 4
SERVERS = ("httpchk", "agent", "both", "php")

CONFIG = """
global
    stats socket {directory}/haproxy.sock level admin
defaults
    mode http
    timeout connect 1s
    timeout client 5s
    timeout server 5s
    timeout check 1s
    default-server inter {interval}ms fall 2 rise 1 weight 100
fcgi-app php
    docroot {directory}
backend checked
    option httpchk
    http-check send meth OPTIONS uri /haproxy/web
    http-check disable-on-404
    server httpchk {fpm} check port {http}
    server both {fpm} check port {http} agent-check agent-port {agent} agent-inter {interval}ms agent-send "web\\n"
backend told
    server agent {fpm} check agent-check agent-port {agent} agent-inter {interval}ms agent-send "web\\n"
backend php
    option httpchk
    http-check disable-on-404
    use-fcgi-app php
    server php {fpm} proto fcgi track checked/both
frontend in
    bind 127.0.0.1:{front}
    default_backend php
    http-check disable-on-404
"""


class Haproxy:
    """HAProxy with a server for each way to ask, one for both, and one that tracks the last."""

    def __init__(self, directory, **values):
        self.socket = directory / "haproxy.sock"
        self.config = directory / "haproxy.cfg"
        self.log = directory / "haproxy.log"
        self.config.write_text(CONFIG.format(directory=directory, interval=INTERVAL_MS, **values))

    def __enter__(self):
        self.socket.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([BIN, "-db", "-f", self.config], stdout=log, stderr=log)
        until(self.answers, what="HAProxy's stats")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return self.socket.exists() and self.servers()

    def servers(self):
        """The rows of `show stat` for the servers, by name."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.socket))
            sock.sendall(b"show stat\n")
            with sock.makefile() as answer:
                text = answer.read().removeprefix("# ")
        return {r["svname"]: r for r in csv.DictReader(io.StringIO(text)) if r["svname"] in SERVERS}

    def wait(self, httpchk, agent, both, php, timeout=3):
        """Waits until the servers' states are these, returns the seconds it took."""
        begin = time.monotonic()
        wanted = {"httpchk": httpchk, "agent": agent, "both": both, "php": php}
        seen = {}

        def so():
            seen.update({name: row["status"] for name, row in self.servers().items()})
            return seen == wanted

        try:
            until(so, timeout)
        except AssertionError:
            checks = {name: [row["check_status"], row["check_code"]] for name, row in self.servers().items()}
            raise AssertionError(f"wanted {wanted}, HAProxy says {seen}, {checks}") from None
        return round(time.monotonic() - begin, 3)

    def wait_up(self):
        return self.wait("UP", "UP", "UP", "UP")


@pytest.fixture(scope="module")
def ports():
    return dict(zip(("fpm", "http", "agent", "front"), free_ports(4), strict=True))


@pytest.fixture(scope="module")
def fpm(module_directory, ports):
    with Fpm(module_directory, {"web": {"listen": f"127.0.0.1:{ports['fpm']}", "pm.max_children": WORKERS}}) as fpm:
        yield fpm


@pytest.fixture(scope="module")
def helper(fpm, ports):
    pools = [
        {"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": WORKERS},
        {"name": "other", "listen": "/nonexistent"},
    ]
    with Helper(fpm.directory, pools, **listens(fpm.directory, ports["http"], ports["agent"])) as helper:
        helper.wait_state("healthy")
        yield helper


@pytest.fixture
def haproxy(fpm, helper, ports):
    with Haproxy(fpm.directory, **(ports | {"fpm": fpm.listen()})) as haproxy:
        haproxy.wait_up()
        yield haproxy
        helper.cli("undrain")
        helper.cli("maint", "off")


def status_of(ports, path="/page.php"):
    with socket.create_connection(("127.0.0.1", ports["front"]), 5) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return int(sock.makefile("rb").readline().split()[1])


def test_drain_and_undrain_are_seen_while_requests_are_still_answered(haproxy, helper, fpm, ports, record_property):
    fpm.script("page.php", "<?php echo 1;")
    assert status_of(ports) == 200
    helper.cli("drain", "web")
    record_property("drain_s", haproxy.wait("NOLB", "DRAIN (agent)", "NOLB", "NOLB"))
    helper.cli("undrain", "web")
    record_property("undrain_s", haproxy.wait_up())
    assert status_of(ports) == 200


def test_maintenance_is_seen_and_taken_back(haproxy, helper, ports, record_property):
    helper.cli("maint", "on", "web")
    record_property("maintenance_s", haproxy.wait("NOLB", "MAINT", "MAINT", "MAINT (via checked/both)"))
    helper.cli("maint", "off", "web")
    record_property("healthy_s", haproxy.wait_up())


def test_a_socket_that_goes_is_down_and_back(haproxy, helper, fpm, record_property):
    fpm.stop()
    record_property("down_s", haproxy.wait("DOWN", "DOWN (agent)", "DOWN (agent)", "DOWN (agent)"))
    assert haproxy.servers()["httpchk"]["check_code"] == "503"
    fpm.start()
    record_property("up_s", haproxy.wait_up())


def test_the_weight_follows_the_load(haproxy, fpm):
    held = Held(fpm)
    sockets = [fcgi.connect(fpm.listen()) for _ in range(WORKERS // 2)]
    for sock in sockets:
        fcgi.send(sock, held.script)
    until(lambda: int(haproxy.servers()["agent"]["weight"]) <= 60, what="half the weight at half the load")
    assert int(haproxy.servers()["httpchk"]["weight"]) == 100
    held.release()
    for sock in sockets:
        fcgi.receive(sock)
        sock.close()
    until(lambda: int(haproxy.servers()["agent"]["weight"]) == 100, 10, what="all of it again")


def test_a_helper_that_dies_is_no_word_of_its_agent(haproxy, helper, record_property):
    helper.process.kill()
    helper.process.wait()
    record_property("helper_gone_s", haproxy.wait("DOWN", "UP", "DOWN", "DOWN"))
    helper.start()
    record_property("helper_back_s", haproxy.wait_up())
