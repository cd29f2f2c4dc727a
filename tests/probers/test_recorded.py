"""Real probers' requests, as they were recorded, and the answers to them, byte for byte."""

import re

import pytest
import recorder
from fake_fpm import HTML, FakeFpm, answer, says
from recorder import RECORDED
from support import fcgi, wire
from support.helper import Helper, listens
from support.waiting import free_ports

NAMES = sorted(path.stem for path in RECORDED.glob("*.request"))
NOT_UP = {"f5-literal", "f5-literal-1.1"}  # mistakes in a configuration


@pytest.fixture(scope="module")
def helper(tmp_path_factory):
    """A helper with a healthy pool "web", its HTTP port in `at`, its agent's in `agent`."""
    directory = tmp_path_factory.mktemp("recorded")
    http, agent = free_ports(2)
    with FakeFpm(directory / "web.sock", says(answer(b"Status: 404 Not Found\r\n" + HTML))):
        pools = [{"name": "web", "listen": str(directory / "web.sock")}]
        with Helper(directory, pools, **listens(directory, http, agent)) as helper:
            helper.at, helper.agent = f"127.0.0.1:{http}", f"127.0.0.1:{agent}"
            helper.wait_state("healthy")
            yield helper


@pytest.fixture(params=["healthy", "draining"])
def state(request, helper):
    if request.param == "draining":
        helper.cli("drain", "web")
    helper.wait_state(request.param)
    yield request.param
    helper.cli("undrain", "web")


def replay(at, data, pieces):
    """
    Sends the bytes in so many pieces, its end in one; what is answered until the connection ends, or, where it is kept,
    until we end it.
    """
    begin, end = data[: data.find(b"\r\n\r\n") + 1], data[data.find(b"\r\n\r\n") + 1 :]
    step = max(1, -(-len(begin) // pieces))
    with fcgi.connect(at) as sock:
        for i in range(0, len(begin), step):
            sock.sendall(begin[i : i + step])
        sock.sendall(end)
        received = sock.recv(65536)
        if b"\r\nConnection: close\r\n" not in received and received.startswith(b"HTTP/1.1"):
            sock.shutdown(1)
        return received + wire.read_all(sock)


@pytest.mark.parametrize("name", NAMES)
def test_the_answer_is_the_expected_one_byte_for_byte(helper, state, name):
    request = (RECORDED / f"{name}.request").read_bytes()
    expected = (RECORDED / f"{name}.{state}").read_bytes()
    assert replay(helper.at, request, 1) == expected
    assert replay(helper.at, request, 7) == expected


def good(name, received):
    """What the prober takes for up, by its documented rule."""
    if name.startswith("f5"):
        return b"state=ready" in received
    status = int(received.split()[1]) if received.startswith(b"HTTP/") else 0
    return status == 200 if name in ("alb", "gcp") else 200 <= status < 400


@pytest.mark.parametrize("name", NAMES)
def test_each_prober_reads_its_answer_as_up_or_not_up(name):
    answers = {state: (RECORDED / f"{name}.{state}").read_bytes() for state in ("healthy", "draining")}
    assert good(name, answers["healthy"]) == (name not in NOT_UP)
    assert not good(name, answers["draining"])


def test_every_recording_has_its_provenance():
    rows = [line for line in (RECORDED / "README.md").read_text().splitlines() if line.startswith("| `")]
    said = [name for row in rows for name in re.findall(r"`([a-z0-9._-]+)`", row.split("|")[1])]
    assert sorted(said) == NAMES


def recorded(name):
    return (RECORDED / f"{name}.request").read_bytes()


def test_haproxy_still_sends_what_was_recorded(workdir):
    options = "http-check send meth OPTIONS uri /haproxy/web"
    get = "http-check send meth GET uri /haproxy/web ver HTTP/1.1 hdr Host fpm-health"
    assert recorder.from_haproxy(workdir) == recorded("haproxy-default")
    assert recorder.from_haproxy(workdir, options) == recorded("haproxy-1.0")
    assert recorder.from_haproxy(workdir, get) == recorded("haproxy-1.1")


def test_consul_still_sends_what_was_recorded(consul):
    assert recorder.from_consul(consul) == recorded("consul")


def test_check_http_still_sends_what_was_recorded():
    version = re.compile(rb"\d+\.\d+(\.\d+)?")  # of the plugins
    without = [
        version.sub(b"", sent.split(b"User-Agent")[1]) for sent in (recorder.from_check_http(), recorded("check_http"))
    ]
    assert without[0] == without[1]


def test_the_exec_checks_of_docker_and_nagios_end_with_their_codes(helper, state):
    live, plugin = helper.cli("check", "--live"), helper.cli("check", "web")
    assert (live.returncode, live.stdout) == (0, "live\n"), "Docker kills what it calls unhealthy: not a drain"
    assert (plugin.returncode, plugin.stdout.split(" - ")[0]) == ((0, "OK") if state == "healthy" else (2, "CRITICAL"))
