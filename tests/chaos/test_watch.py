"""Who the laboratory asks about what Consul holds."""

import http.server
import json
import threading
import time
from contextlib import contextmanager

import pytest
from support.waiting import until
from watch import ConsulWatch


class Server(http.server.ThreadingHTTPServer):
    """A server of Consul's that says who leads, and that node `n` of the service is in `state`."""

    daemon_threads = True

    def __init__(self, address, port):
        server = self
        self.leader, self.state, self.index = "", "passing", 1

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                time.sleep(0.02)
                service = [{"Service": {"ID": "svcreg:n:1:web"}, "Checks": [{"Status": server.state}]}]
                body = json.dumps(f"{server.leader}:8300" if "leader" in self.path else service).encode()
                self.send_response(200)
                self.send_header("X-Consul-Index", str(server.index))
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        super().__init__((address, port), Handler)


@contextmanager
def serving(address, port=0):
    with Server(address, port) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def cluster(monkeypatch):
    """The first two of a cluster's servers."""
    with serving("127.0.0.2") as first, serving("127.0.0.3", first.server_address[1]) as second:
        monkeypatch.setattr(ConsulWatch, "PORT", first.server_address[1])
        first.state, second.state = "warning", "passing"
        yield first, second


@pytest.mark.parametrize("leader, state", [
    ("127.0.0.3", "passing"),
    ("127.0.0.2", "warning"),
    ("127.0.0.4", "warning"),  # is not among those that run
    ("", "warning"),
])  # fmt: skip
def test_the_leader_is_asked_and_where_there_is_none_whoever_answers(cluster, leader, state):
    for server in cluster:
        server.leader = leader
    watch = ConsulWatch(lambda: ["127.0.0.2", "127.0.0.3"])
    try:
        until(lambda: watch.timeline[-1][1] == {"n": state}, 5, "the leader's word")
    finally:
        watch.stop()
