"""docs/examples/haproxy.cfg in a real HAProxy with two live nodes: what its stats say in each state, and how soon."""

import csv
import io
import re
import shutil
import socket
import subprocess

import pytest
from lab import WORKERS, Web, example, seconds_until
from support.fpm import Held
from support.waiting import free_port, until

BIN = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")


class Haproxy:
    """The example with the nodes' addresses."""

    def __init__(self, directory, nodes):
        self.front = free_port()
        self.socket = directory / "admin.sock"
        self.log = directory / "haproxy.log"
        self.config = directory / "haproxy.cfg"
        replacements = {
            "/run/haproxy/admin.sock": self.socket,
            "bind :80": f"bind 127.0.0.1:{self.front}",
            "docroot /src": f"docroot {directory}",
        }
        for i, web in enumerate(nodes.values(), 1):
            address = rf"10\.0\.0\.1{i}:9000"
            replacements[rf"(?<={address} proto fcgi track health/web{i} agent-check agent-port )9181"] = web.agent
            replacements[rf"(?<={address} check port )9180"] = web.http
            replacements[address] = web.fpm.listen()
        self.config.write_text(example("haproxy.cfg", replacements))

    def __enter__(self):
        subprocess.run([BIN, "-c", "-f", self.config], check=True, capture_output=True)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([BIN, "-db", "-f", self.config], stdout=log, stderr=log)
        until(lambda: self.socket.exists(), what="HAProxy's stats")
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def server(self, name, backend="php"):
        """The row of `show stat`."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5)
            sock.connect(str(self.socket))
            sock.sendall(b"show stat\n")
            with sock.makefile() as answer:
                rows = csv.DictReader(io.StringIO(answer.read().removeprefix("# ")))
                return next(row for row in rows if (row["pxname"], row["svname"]) == (backend, name))

    def page(self):
        """Status and body of a page of PHP's."""
        with socket.create_connection(("127.0.0.1", self.front), 5) as sock:
            sock.sendall(b"GET /index.php HTTP/1.0\r\n\r\n")
            with sock.makefile("rb") as answer:
                head, _, body = answer.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode()


@pytest.fixture
def nodes(workdir):
    with Web(workdir, "web1") as one, Web(workdir, "web2") as two:
        page = workdir / "index.php"
        page.write_text("<?php echo 'served';")
        page.chmod(0o644)
        yield {"web1": one, "web2": two}


def established(port):
    """Connections that somebody has to this port."""
    command = ["ss", "-H", "-t", "-n", "state", "established", "sport", "=", f":{port}"]
    return len(subprocess.check_output(command, text=True).splitlines())


def test_no_connection_keeps_a_worker(workdir, nodes):
    with Haproxy(workdir, nodes) as haproxy:
        until(lambda: haproxy.server("web1")["status"] == haproxy.server("web2")["status"] == "UP", what="both are up")
        assert [haproxy.page() for _ in range(20)] == [(200, "served")] * 20
        for web in nodes.values():
            until(lambda web=web: established(web.port) == 0, 1, "no connection is left")


def test_each_state_is_in_haproxys_stats_within_its_interval(workdir, nodes, show):
    rows = []
    web = nodes["web1"]
    with Haproxy(workdir, nodes) as haproxy:

        def seen(what, pattern, timeout=6):
            def so():
                return re.match(pattern, haproxy.server("web1")["status"])

            took = seconds_until(so, timeout, f"{what}: {haproxy.server('web1')['status']}")
            rows.append([what, haproxy.server("web1")["status"], haproxy.server("web1")["weight"], took])
            assert haproxy.page()[0] == 200, "web2 serves all the while"

        seen("healthy", "UP$")
        web.helper.cli("drain", "web")
        seen("drain", "NOLB|DRAIN")
        web.helper.cli("undrain", "web")
        seen("undrain", "UP$")
        web.helper.cli("maint", "on", "web")
        seen("maint on", "MAINT")
        web.helper.cli("maint", "off", "web")
        seen("maint off", "UP$")

        held = Held(web.fpm)
        web.ask(WORKERS // 2, held.script)
        took = seconds_until(lambda: int(haproxy.server("web1")["weight"]) <= 60, what="half the weight")
        rows.append(["half of the workers busy", "UP", haproxy.server("web1")["weight"], took])
        assert haproxy.server("web2")["weight"] == "100"
        held.release()
        took = seconds_until(lambda: int(haproxy.server("web1")["weight"]) == 100, 15, "all of it again")
        rows.append(["idle again", "UP", "100", took])

        web.saturate()
        took = seconds_until(lambda: int(haproxy.server("web1")["weight"]) <= 1, what="the least weight")
        rows.append(["saturated", haproxy.server("web1")["status"], haproxy.server("web1")["weight"], took])
        assert haproxy.server("web1")["status"] == "UP"

        web.fpm.kill()
        seen("FPM killed", "DOWN")
        web.fpm.start()
        seen("FPM started", "UP$")
        web.helper.process.kill()
        web.helper.process.wait()
        seen("fpm-health killed", "DOWN")
        web.helper.start()
        seen("fpm-health started", "UP$")
    show("HAProxy's stats of a node, interval 1 s", ["what", "status", "weight", "seen after"], rows)
