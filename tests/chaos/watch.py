"""What Consul and the balancer hold of each node, noted with the time of every change."""

import csv
import ctypes
import http.client
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

POLL_S = 0.02
CLONE_NEWNET = 0x40000000
SERVING = ("passing", "healthy", "degraded", "up")
WORST = ("critical", "warning", "passing")  # Consul: only what is passing is found by those who ask for it
BUSY = ("warning", "spare")  # in service all the same, only not asked first
SPARE = "spare"  # nginx: degraded, and left alone as long as others are healthy


class Watch:
    """A thread that looks again and again; `timeline` has (time, {node: state}) for each change."""

    def __init__(self):
        self.timeline = [(time.time(), {})]
        self.looked_at = 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.is_set():
            try:
                self.note(self.look())
            except (OSError, RuntimeError, http.client.HTTPException, ValueError, LookupError):
                self.failed()
                self.stopping.wait(POLL_S)

    def look(self):
        raise NotImplementedError

    def failed(self):
        pass

    def note(self, states):
        self.looked_at = time.time()
        if states != self.timeline[-1][1]:
            self.timeline.append((time.time(), states))

    def stop(self):
        self.stopping.set()
        self.thread.join(10)

    def known(self):
        return set(self.timeline[-1][1])

    def serving(self):
        return serving(self.timeline[-1][1])

    def since(self, moment):
        """-> the timeline from the state in force at that moment on"""
        later = [entry for entry in self.timeline if entry[0] > moment]
        before = [entry for entry in self.timeline if entry[0] <= moment]
        return before[-1:] + later


def serving(states):
    return {node for node, state in states.items() if state in SERVING}


def node_of(service_id):
    """svcreg:NODE:INSTANCE:POOL and registrator:NODE:PORT alike"""
    return service_id.split(":")[1]


class ConsulWatch(Watch):
    """
    Asks the leader with a blocking query, another server for its name as soon as that fails. A follower hears of a
    change only with the next one, or 50 to 100 ms later (raft's CommitTimeout). The leader answers only when it is
    ready for consistent reads: one that has just started says what it has read of its log so far.
    """

    PORT = 8500
    WAIT_S = 1
    SILENCE_S = 1  # beyond that: the server is lost

    def __init__(self, addresses):
        self.addresses = addresses
        self.connection = None
        self.turn = self.index = 0
        super().__init__()

    def connect(self):
        """To the leader; to who was asked for it where there is none, or one that does not run."""
        addresses = self.addresses()
        if not addresses:
            raise LookupError("no server runs")
        asked = addresses[self.turn % len(addresses)]
        self.connection = http.client.HTTPConnection(asked, self.PORT, timeout=self.WAIT_S + self.SILENCE_S)
        self.connection.request("GET", "/v1/status/leader")
        leader = json.loads(self.connection.getresponse().read()).rpartition(":")[0]
        if leader in addresses and leader != asked:
            self.connection.close()
            self.connection = http.client.HTTPConnection(leader, self.PORT, timeout=self.WAIT_S + self.SILENCE_S)

    def look(self):
        if self.connection is None:
            self.connect()
        path = f"/v1/health/service/web?consistent&index={self.index}&wait={self.WAIT_S}s"
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise OSError(answer.status)
        self.index = int(answer.headers["X-Consul-Index"])
        states = {}
        for entry in json.loads(answer.read()):
            seen = {check["Status"] for check in entry["Checks"]}
            states[node_of(entry["Service"]["ID"])] = next((word for word in WORST if word in seen), "passing")
        return states

    def failed(self):
        if self.connection:
            self.connection.close()
        self.connection, self.index = None, 0
        self.turn += 1


class BalancerWatch(Watch):
    """Looks into the balancer's container; its kind decides how."""

    @staticmethod
    def of(balancer, container):
        return {"nginx": NginxWatch, "haproxy": HaproxyWatch, "classic": ClassicWatch}[balancer](container)

    def __init__(self, container):
        self.container = container
        self.inside = None
        super().__init__()

    def look(self):
        if self.inside is None:
            self.inside = self.container()
            self.entered()
        states = self.ask()
        self.stopping.wait(POLL_S)
        return states

    def entered(self):
        pass

    def failed(self):
        self.inside = None


def enter_network(pid):
    """Puts this thread, and the sockets that it opens, into the network of a process."""
    fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET) == -1:
            raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(fd)


class NginxWatch(BalancerWatch):
    """The balancer's own status, which it gives to its own network alone."""

    def entered(self):
        enter_network(self.inside.pid)
        self.connection = http.client.HTTPConnection("127.0.0.1", 8081, timeout=1)

    def ask(self):
        self.connection.request("GET", "/status")
        members = json.loads(self.connection.getresponse().read())["members"]
        states = {node_of(member["id"]): member["state"] for member in members}
        if 2 * list(states.values()).count("healthy") >= len(states):
            states = {node: SPARE if state == "degraded" else state for node, state in states.items()}
        return states


class HaproxyWatch(BalancerWatch):
    """The statistics of its servers, which are named NODE:PORT."""

    def ask(self):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(1)
            sock.connect(f"/proc/{self.inside.pid}/root/tmp/svcreg-haproxy/admin.sock")
            sock.sendall(b"show stat members 4 -1\n")
            rows = csv.DictReader(sock.makefile(newline=""))
            return {
                row["svname"].split(":")[0]: row["status"].split()[0].lower() for row in rows if ":" in row["svname"]
            }


class ClassicWatch(BalancerWatch):
    """The upstream that consul-template last wrote for nginx: `server ADDRESS:PORT; # ID`."""

    def ask(self):
        text = Path(f"/proc/{self.inside.pid}/root/tmp/upstream.conf").read_text()
        return {node_of(found): "up" for found in re.findall(r"server \S+; # (\S+)", text)}


def left(watch, node, moment):
    """-> seconds after that moment until the node was out of service, None if it never was"""
    for when, states in watch.since(moment):
        if node not in serving(states):
            return max(0.0, when - moment)
    return None


def back(watch, node, moment):
    """-> seconds after that moment since when the node is in service for good, be it busy, None if it is not"""
    since = None
    for when, states in watch.since(moment):
        if node not in serving(states) and states.get(node) not in BUSY:
            since = None
        elif since is None:
            since = max(0.0, when - moment)
    return since
