"""The real stack, started once for all tests here through script/up, and what tests ask of it."""

import contextlib
import http.client
import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from datetime import datetime
from pathlib import Path

import pytest
from support.waiting import free_ports, until

ROOT = Path(__file__).resolve().parents[2]
NODES = 3
WWW_DATA = "33"


def run(*command, check=True, timeout=300, **options):
    """-> what the command printed; a failure shows it."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT,
        text=True,
        timeout=timeout,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **options,
    )
    assert not check or done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def fetch(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read().decode()


def idle_allowance(url):
    """-> what an answer says of how long its connection may be idle before it is used again"""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/?plain")
        return connection.getresponse().headers["Keep-Alive"]


def eventually(probe, timeout, what):
    """Polls until probe() is true, and returns that; as often as Docker can be asked."""
    return until(probe, timeout, what, every=0.05)


def moment(text):
    """-> the seconds since 1970 of a time as Docker (nine places) and Consul (three) write it"""
    return datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def assert_in_readme(command):
    """The command is in the README as a test runs it, on a line of its own."""
    assert command in (ROOT / "README.md").read_text().splitlines()


def assert_unprivileged(stack, service):
    """Its containers have neither root, nor a capability, nor a way to gain one, and can't write to their image."""
    for container in stack.containers(service):
        status = dict(re.findall(r"^(\w+):\t(.*)$", stack.inside(container, "cat", "/proc/1/status"), re.MULTILINE))
        assert set(status["Uid"].split()) == {WWW_DATA}
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"
        assert stack.inspect(container, "{{.HostConfig.ReadonlyRootfs}}") == "true"
        assert "Read-only file system" in stack.inside(container, "touch", "/usr/x", "/etc/x", check=False)


class Stack:
    """The stack of these compose files; what is not named is as a person finds it in .env."""

    def __init__(self, project=None, *files, http_port=None, consul_port=None):
        named = {
            "COMPOSE_PROJECT_NAME": project,
            "COMPOSE_FILE": ":".join(f"compose/{file}" for file in files),
            "SVCREG_HTTP_PORT": http_port,
            "SVCREG_CONSUL_PORT": consul_port,
        }
        self.environment = {**os.environ, **{name: str(value) for name, value in named.items() if value}}
        self.url = f"http://127.0.0.1:{self.environment.get('SVCREG_HTTP_PORT', 8080)}/"
        self.consul_url = f"http://127.0.0.1:{self.environment.get('SVCREG_CONSUL_PORT', 8500)}"
        self.network = f"{project or 'svcreg'}_default"

    def script(self, *command, timeout=1500, **options):
        return run(*command, timeout=timeout, env=self.environment, **options)

    def up(self, nodes=NODES):
        return self.script("script/up", nodes)

    def down(self, *options):
        return self.script("script/down", *options)

    def compose(self, *arguments, **options):
        return self.script("docker-compose", *arguments, timeout=300, **options)

    def scale(self, nodes):
        return self.compose("scale", f"web={nodes}")

    def containers(self, service):
        return self.compose("ps", "-q", service).split()

    def inspect(self, container, template):
        return run("docker", "inspect", "--format", template, container).strip()

    def inside(self, container, *command, check=True):
        return run("docker", "exec", container, *command, check=check)

    def names(self, requests):
        """-> how often each node answered one of so many requests, each on a connection of its own"""
        return Counter(fetch(self.url + "?plain").strip() for _ in range(requests))

    def consul(self, path):
        return json.loads(fetch(self.consul_url + path))

    def catalog(self, service="web"):
        """-> the names of the nodes registered, whatever their state, sorted"""
        return sorted(entry["ServiceID"].split(":")[1] for entry in self.consul(f"/v1/catalog/service/{service}"))

    def passing(self, service="web"):
        try:
            entries = self.consul(f"/v1/health/service/{service}?passing")
        except OSError:  # Consul starts, or has no leader yet
            return []
        return sorted(entry["Service"]["ID"].split(":")[1] for entry in entries)

    def wait_passing(self, nodes, timeout=20, service="web"):
        """-> the names of the passing nodes, once they are so many"""

        def enough():
            names = self.passing(service)
            return names if len(names) == nodes else None

        return eventually(enough, timeout, f"{nodes} passing nodes of {service}")


@contextlib.contextmanager
def variant(name, *files, **environment):
    """A stack of its own beside the others, for as long as the block lasts; a failed start shows its logs."""
    ports = dict(zip(("http_port", "consul_port"), free_ports(2), strict=True))
    stack = Stack(f"svcreg-test-{name}", "docker-compose.yml", *files, **ports)
    stack.environment.update(environment)
    try:
        print(stack.up())
        yield stack
    finally:
        if not os.environ.get("SVCREG_KEEP_STACK"):
            print(stack.down("--volumes"))


@pytest.fixture(scope="session")
def stack():
    """Three nodes at first. A test that changes their number need not change it back: see `three_nodes`."""
    stack = Stack()
    print(stack.up())
    yield stack
    if not os.environ.get("SVCREG_KEEP_STACK"):
        print(stack.down())


@pytest.fixture
def three_nodes(stack):
    if len(stack.containers("web")) != NODES or len(stack.passing()) != NODES:
        stack.up()
    return stack
