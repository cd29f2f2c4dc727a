"""nginx when Consul is away, comes late, or comes back without its data: the last list serves on."""

import contextlib
import json
import math
import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
from load import Load
from nginx_lab import assert_unavailable, laboratory, new_consul, requests
from support.waiting import until

OUTAGE_S = 60 if os.environ.get("SVCREG_FULL") else 20
REREGISTERED_AFTER_S = 2.0


@pytest.fixture
def consul():
    with new_consul() as agent:
        yield agent


@pytest.fixture
def lab(consul):
    with laboratory(consul) as made:
        yield made


def healthy(members):
    return dict.fromkeys(members, "healthy")


def test_consul_stopped_under_load_costs_no_request(lab, consul):
    members = lab.members("a", "b", "c")
    nginx = lab.nginx()
    with Load(nginx.url, clients=10, method="POST", rate=200) as posts, Load(nginx.url, clients=10, rate=200) as gets:
        consul.stop()
        time.sleep(OUTAGE_S)
        consul.start()
        late = lab.members("late")
        nginx.wait_states(healthy(members + late))
        time.sleep(1)  # of traffic with the new list
    for result in posts.result, gets.result:
        print(f"Consul away for {OUTAGE_S} s: {result}")
        assert result.failed == 0, result
        assert result.connections == 10, result
    assert set(posts.result.by_node + gets.result.by_node) == {"a", "b", "c", "late"}


def test_a_member_that_dies_while_consul_is_away_costs_no_request(lab, consul):
    a, _ = lab.members("a", "b")
    nginx = lab.nginx()
    consul.stop()
    with Load(nginx.url, clients=4, rate=100) as load:
        a.die()
        time.sleep(3)  # longer than the dead one is left alone: it is tried again
    assert load.result.failed == 0, load.result


def test_nginx_restarted_while_consul_is_away_serves(lab, consul):
    lab.members("a", "b")
    nginx = lab.nginx()
    consul.stop()
    nginx.restart()
    result = requests(nginx, 50)
    assert result.failed == 0, result
    assert set(result.by_node) == {"a", "b"}


def test_a_list_kept_for_another_service_is_not_served(lab, consul):
    lab.members("a")
    nginx = lab.nginx()
    consul.stop()
    nginx.remove_container()
    nginx.environment["SERVICE"] = "other"
    nginx.start()
    assert_unavailable(nginx.get())
    assert f"is not taken over: it is the list of {lab.service}" in nginx.logs()


def test_consul_that_lost_its_data_costs_no_request(lab, consul):
    members = lab.members("a", "b", "c", "d")
    nginx = lab.nginx()
    for member in members:
        member.delay_s = math.inf
    with Load(nginx.url, clients=10, method="POST", rate=200) as load:
        consul.stop()
        consul.start()
        assert consul.health(lab.service) == []
        empty_since = time.monotonic()
        until(lambda: all(m["kept"] for m in nginx.status()["members"]), 5, "nginx sees the loss")
        time.sleep(max(0.0, empty_since + REREGISTERED_AFTER_S - time.monotonic()))
        for member in members:
            member.delay_s = 0.0
        consul.wait_status(lab.service, "passing", count=4, timeout=10)
        until(lambda: not any(m["kept"] for m in nginx.status()["members"]), 5, "nginx has them from Consul")
        nginx.wait_states(healthy(members))
        back_after = time.monotonic() - empty_since
    print(f"Consul's data lost: {load.result}; all back after {back_after:.1f} s")
    assert load.result.failed == 0, load.result
    assert set(load.result.by_node) == {"a", "b", "c", "d"}
    assert back_after < 5


def test_members_that_vanished_together_are_kept_for_the_grace_only(lab, consul):
    members = lab.members("a", "b")
    nginx = lab.nginx(environment={"NGINX_GRACE": 2})
    consul.stop()
    for member in members:
        member.wanted = False
    consul.start()
    until(lambda: all(m["kept"] for m in nginx.status()["members"]), 5, "both are kept")
    assert nginx.get()[0] == 200
    until(lambda: nginx.states() == {}, 5, "the grace is over")
    assert_unavailable(nginx.get())


def test_consul_may_come_later_than_nginx(lab, consul):
    consul.stop()
    nginx = lab.nginx()
    assert_unavailable(nginx.get())
    consul.start()
    members = lab.members("a")
    nginx.wait_states(healthy(members))
    assert nginx.get()[2] == "a\n"


class ScriptedConsul(ThreadingHTTPServer):
    """Answers for one service as Consul does: at once if it has news (a higher index), else when `wait` is over."""

    daemon_threads = True

    def __init__(self, port, index, ports):
        self.index, self.ports, self.taken = index, ports, []
        self.reading_its_log = False  # a consistent read is refused, any other answered from what was read so far
        super().__init__(("127.0.0.1", port), self.Handler)
        self.port = self.server_port
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def process_request(self, request, client_address):
        self.taken.append(request)
        super().process_request(request, client_address)

    def stop(self):
        self.shutdown()
        self.server_close()
        for sock in self.taken:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_):
        """A held query whose connection was cut: that is what stop() is for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            consul = self.server
            query = parse_qs(urlsplit(self.path).query, keep_blank_values=True)
            if "consistent" in query and consul.reading_its_log:
                self.send_error(500, "Not ready to serve consistent reads")
                return
            until_then = time.monotonic() + int(query.get("wait", ["0ms"])[0].removesuffix("ms")) / 1000
            while int(query.get("index", ["-1"])[0]) >= consul.index and time.monotonic() < until_then:
                time.sleep(0.01)
            body = json.dumps([entry(port) for port in consul.ports]).encode()
            self.send_response(200)
            self.send_header("X-Consul-Index", str(consul.index))
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass


def entry(port):
    service = {"ID": f"m{port}", "Service": "web", "Address": "127.0.0.1", "Port": port, "Meta": {"svcreg": "0.1.0"}}
    check = {"CheckID": f"m{port}:ttl", "Status": "passing", "Output": "healthy"}
    return {"Node": {"Node": "n"}, "Service": service | {"Weights": {"Passing": 1, "Warning": 1}}, "Checks": [check]}


@pytest.fixture
def scripted():
    """-> an nginx, and the Consul that it has its one member from"""
    consul = ScriptedConsul(0, 7, [1001])
    with laboratory(consul) as lab:
        nginx = lab.nginx()
        until(lambda: "m1001" in (nginx.states() or ()), 10, "the first list")
        yield nginx, consul


def test_consul_that_is_back_with_other_data_at_the_same_index_is_believed(scripted):
    nginx, consul = scripted
    consul.stop()
    consul = ScriptedConsul(consul.port, 7, [1002])
    until(lambda: "m1002" in (nginx.states() or ()), 10, "the new list")
    consul.stop()


def test_an_index_that_went_back_holds_news_up_for_seconds_only(scripted):
    nginx, consul = scripted
    consul.ports, consul.index = [1002], 3
    until(lambda: "m1002" in (nginx.states() or ()), 5, "the new list")
    consul.stop()


def test_a_consul_that_reads_its_log_is_not_believed(scripted):
    """What was long ago: a member whose address is somebody else's by now."""
    nginx, consul = scripted
    consul.stop()
    consul = ScriptedConsul(consul.port, 5, [1003])
    consul.reading_its_log = True
    until(lambda: "waiting for Consul" in nginx.logs() or "m1003" in (nginx.states() or ()), 10, "it was asked")
    assert list(nginx.states()) == ["m1001"]
    consul.index, consul.ports = 9, [1002]
    consul.reading_its_log = False
    until(lambda: "m1002" in (nginx.states() or ()), 5, "the new list")
    assert "m1003" not in nginx.states()
    consul.stop()
