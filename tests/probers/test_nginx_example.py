"""docs/examples/nginx.conf in a real nginx, and what NGINX Plus would do with nginx-plus.conf."""

import http.client
import os
import re
import subprocess

import pytest
from lab import EXAMPLES, Web, example
from support import wire
from support.fpm import children
from support.waiting import free_port, until

BIN = "/usr/sbin/nginx"
WRAP = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/example.conf;
}}
"""


class Nginx:
    """The example between two live nodes; its fpm-health is the first one's."""

    def __init__(self, directory, one, two):
        self.directory, self.port = directory, free_port()
        (directory / "example.conf").write_text(
            example(
                "nginx.conf",
                {
                    r"10\.0\.0\.11:9000": one.fpm.listen(),
                    r"10\.0\.0\.12:9000": two.fpm.listen(),
                    r"127\.0\.0\.1:9180": f"127.0.0.1:{one.http}",
                    "listen 80;": f"listen 127.0.0.1:{self.port};",
                    "root /src;": f"root {directory};",
                    "include fastcgi_params;": "include /etc/nginx/fastcgi_params;",
                },
            )
        )
        user = "user root;" if os.geteuid() == 0 else ""
        (directory / "nginx.conf").write_text(WRAP.format(directory=directory, user=user))

    def __enter__(self):
        self.process = subprocess.Popen([BIN, "-c", self.directory / "nginx.conf"], stderr=subprocess.DEVNULL)
        until(self.answers, what="nginx")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self):
        try:
            return self.get("/live")
        except OSError:
            return None

    def get(self, path):
        """(status, headers, body)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()


@pytest.fixture
def nodes(workdir):
    page = workdir / "index.php"
    page.write_text("<?php echo 'served';")
    page.chmod(0o644)
    with Web(workdir, "web1") as one, Web(workdir, "web2") as two:
        yield one, two


def test_the_verdict_comes_through_unchanged_and_in_time(workdir, nodes, show):
    with Nginx(workdir, *nodes) as nginx:
        assert nginx.get("/") == (200, nginx.get("/")[1], "served")
        one = nodes[0].helper
        for path in ("/live", "/ready", "/ready/web", "/health/web", "/haproxy/web", "/consul/web", "/f5/web"):
            assert nginx.get(path)[::2] == one.get(path)[::2], path
        assert nginx.get("/health/nope")[0] == 404
        assert nginx.get("/healthy")[2] == "served", "only the verdict's own paths"
        nodes[0].saturate()
        status, headers, _ = nginx.get("/ready/web")
        assert (status, headers["x-envoy-degraded"]) == (200, "true")
        pids = [one.process.pid, *children(nginx.process.pid)]
        at = f"127.0.0.1:{nginx.port}"
        took = wire.latencies_ms(at, wire.get("/consul/web"), 1000, lambda answer: b" 429 " in answer, pids)
        one.cli("drain", "web")
        assert [nginx.get(p)[0] for p in ("/ready/web", "/haproxy/web", "/live")] == [503, 404, 200]
        show("Through nginx, all workers busy; ms", wire.FIGURES, [wire.figures(took)])
        assert wire.in_time(took)


def test_a_node_that_dies_costs_no_request(workdir, nodes):
    with Nginx(workdir, *nodes) as nginx:
        assert {nginx.get("/")[0] for _ in range(10)} == {200}
        nodes[1].fpm.kill()
        assert [nginx.get("/")[0] for _ in range(50)] == [200] * 50


def directive(text, name):
    """The arguments of the first directive of this name."""
    words = re.search(rf"^\s*{name} ([^;{{]+)[;{{]", text, re.M)[1].split()
    return dict(word.split("=") for word in words if "=" in word) or words


def test_what_nginx_plus_asks_and_takes_for_healthy(workdir):
    text = (EXAMPLES / "nginx-plus.conf").read_text()
    check = directive(text, "health_check")
    assert check["match"] == directive(text, "match")[0] and check["port"] == "9180"
    body = re.search(r'body ~ "(.*)";', text)[1]

    def healthy(web):
        """As the match says: this status, and this body."""
        status, _, answer = web.helper.get(check["uri"])
        return status == int(directive(text, "status")[0]) and bool(re.search(body, answer))

    with Web(workdir) as web:
        assert healthy(web)
        web.saturate()
        assert healthy(web)
        web.helper.cli("drain", "web")
        assert not healthy(web)
