"""A real Consul agent (dev mode) for one test or one session."""

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

from .clock import Stopwatch
from .programs import program
from .waiting import free_ports, until

SERVER_UP_S = 3.2  # after a server was found, an agent has told all it knows within 3 s


class Consul:
    """`with Consul(directory) as consul:` – HTTP on a free port; a stopped agent can be started again, empty, on it."""

    def __init__(self, directory, *options):
        self.directory = Path(directory)
        self.options = options
        ports = free_ports(4)
        self.port = ports[0]
        self.cluster_ports = dict(zip(("server", "serf-lan", "serf-wan"), ports[1:], strict=True))
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = None
        self.leads_at = None
        self.token = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Starts the agent and waits until it answers and leads."""
        arguments = [program("consul"), "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=agent"]
        arguments += [f"-http-port={self.port}", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1"]
        arguments += [f"-{name}-port={port}" for name, port in self.cluster_ports.items()]
        arguments += ["-hcl", "disable_update_check = true", *self.options]
        with (self.directory / "consul.log").open("ab") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=self.directory)
        until(self._leads, 20, "Consul leads")
        self.leads_at = time.monotonic()
        return self

    def wait_synced(self):
        """
        Waits until an agent that logs at "info" has told its catalog of itself, and for the second time if it has to: a
        server that it finds makes it do so within 3 s. Where somebody registers just then it puts that off, and tells
        nothing by itself for 15 to 30 s.
        """
        until(lambda: "Synced node info" in self.log(), 10, "the agent has told its catalog of itself")
        time.sleep(max(0.0, self.leads_at + SERVER_UP_S - time.monotonic()))

    def log(self):
        return (self.directory / "consul.log").read_text()

    def log_tail(self, *texts, lines=8):
        """-> the last lines that hold one of the texts"""
        return "\n".join([line for line in self.log().splitlines() if any(text in line for text in texts)][-lines:])

    def stop(self):
        """Kills the agent: whatever it knew is lost."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _leads(self):
        assert self.process.poll() is None, self.log()[-2000:]
        try:
            return self.get("/v1/status/leader") and self.get("/v1/catalog/nodes")
        except (OSError, json.JSONDecodeError):
            return None

    def request(self, method, path, body=None, timeout=30):
        """Returns (parsed body or None, X-Consul-Index)."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        if self.token:
            request.add_header("X-Consul-Token", self.token)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read()
            return (json.loads(text) if text.strip() else None), int(answer.headers.get("X-Consul-Index", 0))

    def get(self, path):
        return self.request("GET", path)[0]

    def put(self, path, body=None):
        return self.request("PUT", path, body)[0]

    def token_for(self, rules):
        """Makes a token with a policy of these lines; of an agent with ACLs."""
        name = f"svcreg-{uuid.uuid4()}"
        self.put("/v1/acl/policy", {"Name": name, "Rules": "\n".join(rules)})
        return self.put("/v1/acl/token", {"Policies": [{"Name": name}]})["SecretID"]

    def services(self):
        """The agent's own services by ID."""
        return self.get("/v1/agent/services")

    def health(self, service, passing=False):
        """The catalog's entries of `service` as /v1/health/service gives them."""
        return self.get(f"/v1/health/service/{urllib.parse.quote(service)}" + ("?passing" if passing else ""))

    def check(self, service_id):
        """The agent's TTL check of a service ID of ours, or None."""
        return self.get("/v1/agent/checks").get(f"{service_id}:ttl")

    def wait(self, service, predicate, timeout=5.0, what=None):
        """Blocking queries on `service` until `predicate(entries)` is true; returns what it returned."""
        watch = Stopwatch()
        path, index = f"/v1/health/service/{urllib.parse.quote(service)}", 0
        while True:
            left = timeout - watch.seconds()
            if left <= 0:
                raise AssertionError(f"{what or service}: not within {timeout} s; {self.health(service)}")
            wait_ms = max(1, int(min(left, 5) * 1000))
            try:
                entries, index = self.request("GET", f"{path}?index={index}&wait={wait_ms}ms")
            except urllib.error.HTTPError:
                time.sleep(0.05)
                continue
            result = predicate(entries)
            if result:
                return result

    def wait_status(self, service, status, count=1, timeout=5.0):
        """Waits until `count` instances have our TTL check in `status`; returns them."""

        def matching(entries):
            good = [e for e in entries if our_check(e)["Status"] == status]
            return good if len(good) == count else None

        return self.wait(service, matching, timeout, f"{count} × {service} {status}")

    def wait_gone(self, service, timeout=5.0):
        """Waits until nothing of `service` is in the catalog."""
        self.wait(service, lambda entries: not entries, timeout, f"{service} gone")


def our_check(entry):
    """The TTL check in an entry of /v1/health/service."""
    return next((c for c in entry["Checks"] if c["CheckID"].endswith(":ttl")), {"Status": "none", "Output": ""})
