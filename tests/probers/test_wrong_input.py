"""
What answers in FPM's place, or not at all: where other probers hang or pass, ours says no, at once, and why.

PUBLISHED is how the others were measured with the same input before this project began (php-fpm-healthcheck, and the
exporters of hipages, bakins and Lusitaniae, with PHP-FPM 8.2 and 4 static workers, 2 CPUs).
"""

import subprocess

import pytest
from fake_fpm import HTML, PAGE, FakeFpm, answer, says, silent, slow, wait_asked
from support import fcgi, wire
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.waiting import free_port, until

FORBIDDEN = b"Status: 404 Not Found\r\n" + HTML
FAILED = b"Status: 500 Internal Server Error\r\n" + HTML
MORE = b"X-Powered-By: PHP\r\nStatus: 503 Service Unavailable\r\n"
REJECTED = fcgi.record(fcgi.END, b"\0\0\0\0\2\0\0\0")

PUBLISHED = {
    "silent": "all hang for more than 100 s",
    "no FastCGI": "-",
    "half a record": "-",
    "closes": "-",
    "one byte at a time": "-",
    "rejected": "-",
    "500": "php-fpm-healthcheck exits 0, bakins up=1",
    "500 with a status page": "Lusitaniae up=1",
    "503, not in the first line": "-",
    "garbage in a valid frame": "php-fpm-healthcheck exits 0, bakins up=1",
}
WRONG = {
    "silent": (silent, "FastCGI: no answer in time"),
    "no FastCGI": (says(b"HTTP/1.1 200 OK\r\n\r\n"), "FastCGI: the answer is no FastCGI"),
    "half a record": (says(answer(HTML, b"pong")[:20]), "FastCGI: connection closed without an answer"),
    "closes": (says(b""), "FastCGI: connection closed without an answer"),
    "one byte at a time": (slow(answer(HTML, b"pong")), "FastCGI: no answer in time"),
    "rejected": (says(REJECTED), "FastCGI: request rejected"),
    "500": (says(answer(FAILED)), "FastCGI: answers 500"),
    "500 with a status page": (says(answer(FAILED, PAGE)), "FastCGI: answers 500"),
    "503, not in the first line": (says(answer(MORE, PAGE)), "FastCGI: answers 503"),
    "garbage in a valid frame": (says(answer(b"\x00\xff\x13garbage")), "FastCGI: the answer is no CGI"),
}
ASKED = ("/ready", "/ready/web", "/health", "/health/web", "/consul/web", "/haproxy/web", "/f5/web", "/")


def verdicts(helper):
    """What each prober is told, in short: statuses, the agent's word, the plugin's code, `up`."""
    statuses = {path: helper.get(path)[0] for path in ASKED}
    agent = wire.exchange(helper.agent, b"").decode().strip()
    up = wire.metric(helper.get("/metrics")[2], "phpfpm_up", "web")
    return statuses, agent, helper.cli("check", "web").returncode, up


def none_passes(told):
    """The phrase that every prober got was a no."""
    statuses, agent, code, up = told
    return set(statuses.values()) <= {404, 503} and "ready" not in agent and code == 2 and up == 0


@pytest.fixture
def serve(workdir):
    """`serve(listen, **pool)` starts a helper with one pool."""
    helpers = []

    def serve(listen, **pool):
        agent = f"127.0.0.1:{free_port()}"
        own = {"name": "web", "listen": str(listen), "pm": "static", "max_children": 2, **pool}
        helper = Helper(workdir, [own], agent_listen=[agent])
        helper.agent = agent
        helpers.append(helper.start())
        return helper

    yield serve
    for helper in helpers:
        helper.stop()


ASKED_FOR = [(name, path) for name in WRONG for path in ("", "/fpm-status") if path or "status page" not in name]


@pytest.mark.parametrize("name, status_path", ASKED_FOR, ids=[f"{n}-{p or 'ping'}" for n, p in ASKED_FOR])
def test_a_wrong_answer_passes_nowhere_and_delays_nothing(workdir, serve, show, name, status_path):
    behave, reason = WRONG[name]
    with FakeFpm(workdir / "web.sock", behave) as fake:
        helper = serve(workdir / "web.sock", status_path=status_path)
        wait_asked(fake, 3)
        at, pids = str(helper.directory / "health.sock"), [helper.process.pid]
        took = wire.latencies_ms(at, wire.get("/ready/web"), 500, pids=pids)
        until(lambda: reason in helper.pool()["reason"], 15, f"the reason: {helper.pool()}")
        told = verdicts(helper)
        show(
            f"FPM's answer: {name}, asked for its {'status' if status_path else 'ping'}",
            ["others", "ours", "p99 ms"],
            [[PUBLISHED[name], helper.cli("check", "web").stdout.strip(), wire.figures(took)[2]]],
        )
        assert none_passes(told), told
        assert helper.pool()["state"] == "starting"
        assert "-> healthy" not in helper.log_text()
        assert wire.in_time(took)
        assert helper.get("/live")[0] == 200, "a restart would not help"


def then_again(usual, first):
    """Behaves as each of `first`, and then as usual."""

    def behave(connection):
        (first.pop() if first else usual)(connection)

    return behave


@pytest.mark.parametrize("name", [name for name in WRONG if name != "500 with a status page"])
def test_a_pool_that_served_and_then_answers_wrongly_is_degraded_only_after_three(workdir, serve, name):
    behave, reason = WRONG[name]
    good = says(answer(FORBIDDEN, b"File not found.\n"))
    with FakeFpm(workdir / "web.sock", good) as fake:
        helper = serve(workdir / "web.sock", status_path="/fpm-status")  # asked each second
        helper.wait_state("healthy")
        fake.behave = then_again(good, [behave] * 2)
        wait_asked(fake, fake.connections + 4)
        assert "-> degraded" not in helper.log_text(), "two wrong answers are no evidence"
        fake.behave = behave
        helper.wait_state("degraded", timeout=15)
        assert helper.pool()["reason"] == reason
        assert wire.metric(helper.get("/metrics")[2], "phpfpm_up", "web") == 0
        assert helper.get("/haproxy/web")[0] == 200, "it listens: nobody knows better"
        fake.behave = good
        helper.wait_state("healthy", timeout=15)


def test_a_404_is_how_fpm_answers_who_asks_for_no_script(workdir, serve):
    """The one answer that others take for a success by mistake and is one here: it came from a worker that runs PHP."""
    with Fpm(workdir, {"web": {}}) as fpm:
        assert fpm.request("/nope.php").status == 404
        helper = serve(fpm.listen())
        helper.wait_state("healthy")


def test_a_status_path_that_leads_nowhere_counts_nothing(workdir, serve):
    with Fpm(workdir, {"web": {}}) as fpm:
        helper = serve(fpm.listen(), status_path="/nope", max_children=0)
        helper.wait_state("healthy")
        assert helper.pool()["workers"]["active"] is None
        assert wire.metric(helper.get("/metrics")[2], "phpfpm_active_processes", "web") is None


def test_nothing_listens_and_nothing_passes(workdir, serve, show):
    helper = serve(workdir / "nobody.sock")
    told = verdicts(helper)
    rows = [["hipages get exits 0", helper.cli("check", "web").stdout.strip()]]
    show("Nobody listens", ["others", "ours"], rows)
    assert none_passes(told), told


def test_a_dead_fpm_is_no_success_on_any_path(workdir, serve, show):
    with Fpm(workdir, {"web": {}}) as fpm:
        helper = serve(fpm.listen())
        helper.wait_state("healthy")
        fpm.stop()
        helper.wait_state("down")
        told = verdicts(helper)
        live, plugin = helper.get("/live")[0], helper.cli("check", "--live").returncode
        rows = [["the exporter's /healthz is 200", f"/live {live}, check --live exits {plugin}, {told}"]]
        show("FPM is dead", ["others", "ours"], rows)
        assert (live, plugin) == (503, 1)
        assert none_passes(told), told


def test_an_unknown_pool_is_never_answered_for_by_another(workdir, serve, show):
    with Fpm(workdir, {"web": {}}) as fpm:
        helper = serve(fpm.listen())
        helper.wait_state("healthy")
        statuses = {path: helper.get(path.replace("web", "nope"))[0] for path in ASKED if "web" in path}
        agent = wire.exchange(helper.agent, b"")
        code = helper.cli("check", "nope").returncode
        rows = [
            ["an unknown target is ignored, the configured one answered as up=1", f"{statuses}, check exits {code}"]
        ]
        show("A pool that does not exist", ["others", "ours"], rows)
        assert set(statuses.values()) == {404}
        assert code == 3
        assert agent == b"ready up 100%\n", "who names none means the only one"


@pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:99999", "tcp://127.0.0.1:x", "unix://"])
def test_a_bad_address_stops_nobody_and_passes_nowhere(workdir, show, address):
    with Fpm(workdir, {"web": {}}) as fpm:
        pools = [{"name": "bad", "listen": address}, {"name": "web", "listen": fpm.listen()}]
        with Helper(workdir, pools) as helper:
            helper.wait_state("healthy")
            metrics = helper.get("/metrics")[2]
            bad = helper.get("/ready/bad")
            rows = [
                ["the exporter ends at its first scrape", f"/ready/bad {bad[0]}, the log says why, the others are up"]
            ]
            show(f"An address that is none: {address}", ["others", "ours"], rows)
            assert wire.metric(metrics, "phpfpm_up", "bad") == 0 and wire.metric(metrics, "phpfpm_up", "web") == 1
            assert bad[0] == 503
            assert f"pool bad: listen {address}: " in helper.log_text()


def connections_to(path):
    """Connections of anybody to a listening unix socket, accepted or not."""
    output = subprocess.run(["ss", "-H", "-x", "-n", "state", "established"], capture_output=True, text=True).stdout
    return sum(path in line.split() for line in output.splitlines())


def test_no_worker_is_held_after_its_answer(workdir, serve):
    """FPM keeps a worker for a connection until the other side closes, the whole answer read or not."""
    with Fpm(workdir, {"web": {"pm.max_children": 1, "pm.status_path": "/fpm-status"}}) as fpm:
        helper = serve(fpm.listen(), status_path="/fpm-status", max_children=1)
        helper.wait_state("healthy")
        script = fpm.script("page.php", "<?php echo 1;")
        for _ in range(20):
            assert fpm.request(script, timeout=2).body == b"1"
        until(lambda: connections_to(fpm.listen()) == 0, 1, "no connection stays", every=0.001)


def test_a_check_that_is_killed_leaves_nobody_connected_to_fpm(workdir, serve, show):
    with Fpm(workdir, {"web": {"pm.max_children": 1}}) as fpm:
        helper = serve(fpm.listen(), max_children=1)
        helper.wait_state("healthy")
        with fcgi.connect(fpm.listen()) as busy:
            fcgi.send(busy, fpm.script("sleep.php", "<?php sleep(30);"))
            until(lambda: helper.pool()["workers"]["active"] == 1, what="the worker sleeps")
            before = connections_to(fpm.listen()), wire.kernel_queue(fpm.listen())
            for _ in range(20):
                check = [BIN, "check", "web", "--run-dir", str(helper.run_root)]
                process = subprocess.Popen(check, stdout=subprocess.DEVNULL)
                process.kill()
                process.wait()
            after = connections_to(fpm.listen()), wire.kernel_queue(fpm.listen())
            rows = [["its cgi-fcgi stays connected", f"connected, queued: {before} before, {after} after 20 of them"]]
            show("A check is killed", ["others", "ours"], rows)
            assert before == after == (1, 0)
