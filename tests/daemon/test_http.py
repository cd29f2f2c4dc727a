"""The probe's side of the wire: bytes as probers send them, and as nobody should."""

import itertools
import json
import re
import socket
import time

import pytest
from support.clock import SELF, Stopwatch
from support.fcgi import connect
from support.fpm import Fpm
from support.helper import Helper, listens
from support.waiting import free_port, until
from support.wire import read_all


@pytest.fixture(scope="module")
def helper(module_directory):
    """One helper with a healthy pool "web" and a pool "a b" that nobody listens for."""
    with Fpm(module_directory) as fpm:
        port, agent = free_port(), free_port()
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2}, {"name": "a b", "listen": "/nonexistent"}]
        with Helper(module_directory, pools, **listens(module_directory, port, agent)) as helper:
            helper.port, helper.agent_port = port, agent
            helper.wait_state("healthy")
            yield helper


def exchange(helper, data, port=None):
    """Sends bytes and reads until the helper closes."""
    with connect(f"127.0.0.1:{port or helper.port}") as sock:
        sock.sendall(data)
        return read_all(sock)


@pytest.mark.parametrize(
    ("path", "status", "body"),
    [
        ("/live", 200, "live\n"),
        ("/ready", 200, "web healthy\na b starting: not listening yet\n"),
        ("/ready/web", 200, "healthy\n"),
        ("/consul/web", 200, "healthy\n"),
        ("/haproxy/web", 200, "healthy\n"),
        ("/f5/web", 200, "state=ready\n"),
        ("/ready/a%20b", 503, "starting: not listening yet\n"),
        ("/haproxy/a%20b", 404, "starting: not listening yet\n"),
        ("/f5/a%20b", 503, "state=starting\n"),
        ("/consul/nope", 404, "Not Found\n"),
        ("/nope", 404, "Not Found\n"),
        ("/ready/web?x=1", 200, "healthy\n"),
    ],
)
def test_paths_answer_their_pool(helper, path, status, body):
    assert helper.get(path)[::2] == (status, body)


def test_health_is_json_for_one_pool_and_for_all(helper):
    status, headers, body = helper.get("/health/web")
    assert (status, headers["Content-Type"]) == (200, "application/health+json")
    assert json.loads(body)["status"] == "pass"
    whole = json.loads(helper.get("/health")[2])
    assert whole["status"] == "warn"
    assert [check["status"] for check in whole["checks"]["pool:state"]] == ["pass", "fail"]


def test_status_has_the_keys_of_the_design(helper):
    status = helper.status()
    assert {"version", "node", "instance", "generation", "master", "helper", "consul", "pools"} <= status.keys()
    pool = status["pools"][0]
    assert {
        "name",
        "listen",
        "service",
        "service_id",
        "state",
        "reason",
        "weight",
        "since",
        "registered",
    } <= pool.keys()
    assert pool["service_id"] == "svcreg:n1:test:web"
    assert pool["queue"]["max"] > 0


def test_metrics_have_one_type_a_family_and_every_sample_a_family(helper):
    text = helper.get("/metrics")[2]
    types = re.findall(r"^# TYPE (\S+) ", text, re.M)
    assert len(types) == len(set(types))
    names = {line.split("{")[0].split(" ")[0] for line in text.splitlines() if line and line[0] != "#"}
    assert {re.sub("_(sum|count)$", "", n) if n.startswith("svcreg_consul") else n for n in names} <= set(types)
    assert 'svcreg_state{pool="web",state="healthy"} 1' in text
    assert re.search(r'^phpfpm_up\{pool="web",scrape_uri="unix:///.+"\} 1$', text, re.M)
    openmetrics = helper.get("/metrics", headers={"Accept": "application/openmetrics-text"})[2]
    assert openmetrics.endswith("# EOF\n")
    assert "# TYPE svcreg_requests counter" in openmetrics


@pytest.mark.parametrize("tail", [b"", b"\r\n\r\n"])
def test_f5_without_a_version_gets_a_body_alone_and_once(helper, tail):
    assert exchange(helper, b"GET /f5/web\r\n" + tail) == b"state=ready\n"


def test_haproxys_httpchk_is_answered_and_closed(helper):
    answer = exchange(helper, b"OPTIONS / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Connection: close\r\n" in answer


def test_http_1_0_may_keep_the_connection(helper):
    with connect(f"127.0.0.1:{helper.port}") as sock:
        for _ in range(3):
            sock.sendall(b"GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = sock.recv(65536)
            assert b"Connection: keep-alive\r\n" in answer
            assert answer.endswith(b"\r\n\r\nlive\n")


def test_head_has_the_length_and_no_body(helper):
    answer = exchange(helper, b"HEAD /live HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert b"Content-Length: 5\r\n" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_thousands_of_pipelined_requests_are_each_answered_in_order(helper):
    paths = ["/live", "/f5/web", "/nope"] * 1500
    requests = b"".join(f"GET {path} HTTP/1.1\r\n\r\n".encode() for path in paths)
    answer = exchange(helper, requests + b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n")
    bodies = re.findall(rb"\r\n\r\n(live|state=ready|Not Found)\n", answer)
    assert bodies == [b"live", b"state=ready", b"Not Found"] * 1500 + [b"live"]


def test_what_was_asked_before_changes_no_answer(helper):
    """The helper knows the last request again; not one that only begins like it, or that it begins like."""
    requests = [
        b"GET /live HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HEAD /live HTTP/1.1\r\n\r\n",
        b"GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"\r\nGET /ready/a%20b?x=1 HTTP/1.1\r\n\r\n",
        b"GET /nope HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc",
        b"GET /nope HTTP/1.1\r\nContent-Length: 3\r\n\r\nGET",
        b"GET /f5/web HTTP/1.1\r\nX: " + b"x" * 1000 + b"\r\n\r\n",
    ]
    last = [b"GET /f5/web\r\n", b"GET /f5/web HTTP/1.1\r\nConnection: close\r\n\r\n", b"GET /live HTTP/1.0\r\n\r\n"]
    alone = {end: exchange(helper, end) for end in last}
    after = {one: exchange(helper, one + last[2]).removesuffix(alone[last[2]]) for one in requests}
    for first, second, end in itertools.product(requests, requests, last):
        assert exchange(helper, first + second + second + end) == after[first] + after[second] * 2 + alone[end]


def test_a_request_that_is_known_keeps_its_query(helper):
    """Where the first one lay is something else now: a request too long to be known, and then the same again."""
    again, longer = b"POST /maint/web?on=1 HTTP/1.1\r\n\r\n", b"GET /live HTTP/1.1\r\nX: " + b"x" * 1000 + b"\r\n\r\n"
    with connect(f"{helper.run_dir}/control.sock") as sock:
        try:
            sock.sendall(again)
            assert sock.recv(4096).endswith(b"done\n")
            sock.sendall(longer + again)
            until(lambda: sock.recv(4096).endswith(b"done\n"), what="the answer")
            assert helper.pool()["state"] == "maintenance"
        finally:
            helper.cli("maint", "off")
            helper.wait_state("healthy")


def test_a_reader_too_slow_for_its_answers_gets_them_all_the_same(helper):
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(10)
        sock.connect(("127.0.0.1", helper.port))
        count = 400
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n" * count + b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n")
        until(lambda: helper.get("/live")[0] == 200, what="others are served meanwhile")
        received = read_all(sock)
        assert received.count(b"HTTP/1.1 200 OK") == count + 1
        assert received.endswith(b"live\n")


def test_a_half_closed_client_still_gets_its_answer(helper):
    with connect(f"127.0.0.1:{helper.port}") as sock:
        sock.sendall(b"GET /live HTTP/1.1\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).endswith(b"live\n")


def test_a_request_in_single_bytes_is_understood(helper):
    with connect(f"127.0.0.1:{helper.port}") as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"GET /live HTTP/1.1\r\nConnection: close\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert read_all(sock).endswith(b"live\n")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\x16\x03\x01\x02\x00\n", 400),
        (b"POST /drain HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 405),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 9000, 431),
        (b"POST / HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n", 413),
        (b"GET / HTTP/3.0\r\n\r\n", 505),
    ],
)
def test_wrong_requests_are_refused_and_closed(helper, request_bytes, status):
    answer = exchange(helper, request_bytes)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert b"Connection: close\r\n" in answer


def pour(sock):
    """A megabyte of a request's head, for as long as it is taken."""
    sock.sendall(b"GET /live HTTP/1.1\r\n")
    for _ in range(1000):
        sock.sendall(b"X: " + b"x" * 1000 + b"\r\n")
        time.sleep(0.001)


def test_a_megabyte_of_head_is_cut_off(helper):
    with connect(f"127.0.0.1:{helper.port}") as sock, pytest.raises(ConnectionError):
        pour(sock)
    assert helper.get("/live")[0] == 200


def test_connections_that_say_nothing_or_reset_harm_nobody(helper):
    idle = [connect(f"127.0.0.1:{helper.port}") for _ in range(300)]
    for sock in idle[:100]:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
    watch = Stopwatch(SELF, helper.process.pid)
    assert helper.get("/live")[0] == 200
    assert watch.seconds() < 0.1
    for sock in idle[100:]:
        sock.close()


def test_changing_state_needs_control_sock(helper):
    assert helper.request("POST", "/drain")[0] == 405
    assert helper.get("/drain")[0] == 404


def test_the_agent_answers_for_the_named_pool_and_unasked_for_the_worst(helper):
    assert exchange(helper, b"web\n", helper.agent_port) == b"ready up 100%\n"
    assert exchange(helper, b"a b\r\n", helper.agent_port) == b"drain up #starting\n"
    assert exchange(helper, b"nope\n", helper.agent_port) == b"fail #unknown pool\n"
    watch = Stopwatch(SELF, helper.process.pid)
    assert exchange(helper, b"", helper.agent_port) == b"drain up #starting\n"
    assert watch.seconds() < 0.2


def test_the_agent_of_a_single_pool_speaks_first(workdir):
    port = free_port()
    with Helper(workdir, [{"name": "web", "listen": "/nonexistent"}], agent_listen=[f"127.0.0.1:{port}"]):
        assert exchange(None, b"", port) == b"drain up #starting\n"


def test_a_taken_port_gives_the_next_one_and_says_so(workdir):
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        listen = [f"127.0.0.1:{port}", f"unix:{workdir}/health.sock"]
        with Helper(workdir, [{"name": "web", "listen": "/nonexistent"}], health_listen=listen) as helper:
            shown = helper.status()["health_listen"]
            assert shown != f"127.0.0.1:{port}"
            assert f"127.0.0.1:{port} is taken, {shown} is used" in helper.log_text()
            assert helper.status()["helper"]["error"]
