"""svcreg-host, the first process of a host, with a `consul` that only notes what it is asked; in places of its own."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.waiting import until

HOST = Path(__file__).resolve().parents[2] / "docker-images" / "host" / "svcreg-host"
SERVERS = ["consul-1", "consul-2", "consul-3"]
OWN_PLACES = 'ip link set lo up && mount --bind "$0" /tmp && exec "$@"'
FAKE_CONSUL = r"""#!/usr/bin/python3
import http.server, os, sys

class Agent(http.server.BaseHTTPRequestHandler):
    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(b'[{"CheckID":"serfHealth","ServiceID":""},{"CheckID":"ttl","ServiceID":"svcreg:a:fpm:web"}]')

    def do_PUT(self):
        with open("/tmp/joined", "a") as stream:
            stream.write(self.path.rpartition("/")[2] + "\n")
        self.answer(b"")

    def log_message(self, *_):
        pass

with open(next(word for word in sys.argv if word.startswith("-pid-file=")).partition("=")[2], "w") as stream:
    stream.write(str(os.getpid()))
http.server.HTTPServer(("127.0.0.1", 8500), Agent).serve_forever()
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def place(tmp_path):
    """Its /tmp, with a host that runs `sleep` in place of FPM."""
    consul = tmp_path / "consul"
    consul.write_text(FAKE_CONSUL)
    consul.chmod(0o755)
    command = ["unshare", "--net", "--mount", "sh", "-c", OWN_PLACES, tmp_path, "bash", HOST, "sleep", "60"]
    environment = os.environ | {"PATH": f"/tmp:{os.environ['PATH']}", "CONSUL_JOIN": " ".join(SERVERS)}
    with subprocess.Popen(command, env=environment) as host:
        yield tmp_path
        host.send_signal(signal.SIGTERM)
        assert host.wait(10) == 128 + signal.SIGQUIT  # as `sleep` ended


def joined(place):
    return (place / "joined").read_text().split() if (place / "joined").exists() else []


def agent(place):
    """-> its pid, None while there is none"""
    return int((place / "consul.pid").read_text() or 0) if (place / "consul.pid").exists() else None


def test_after_each_start_the_agent_joins_every_server_again_and_again_ever_more_rarely(place):
    """A rumour that this host is leaving, which its restart left at one of them, ends with that; also a late one."""
    first = until(lambda: agent(place), 10, "an agent")
    until(lambda: joined(place) == SERVERS, 15, "all servers are joined")
    time.sleep(3)
    assert joined(place) == SERVERS
    until(lambda: joined(place) == SERVERS * 2, 10, "all servers are joined again")
    time.sleep(7)
    assert joined(place) == SERVERS * 2
    os.kill(first, signal.SIGKILL)
    until(lambda: agent(place) != first, 10, "another agent")
    until(lambda: joined(place)[-3:] == SERVERS and len(joined(place)) >= 9, 15, "all servers are joined")
