"""Warm-up and probe scripts, run by a real FPM."""

import os
import signal
import time

import pytest
from support import board as boards
from support import fcgi
from support.fpm import Fpm, Held
from support.helper import Helper
from support.node import SO, Node
from support.waiting import free_port, until

LOGGED = "<?php file_put_contents(__DIR__ . '/runs', $_SERVER['SVCREG_PROBE'] . \"\\n\", FILE_APPEND);"


class Scripts:
    """One pool of two workers, scripts in its directory, and what they noted."""

    def __init__(self, workdir, fpm):
        self.workdir = workdir
        self.fpm = fpm
        workdir.joinpath("runs").touch()
        workdir.joinpath("runs").chmod(0o666)

    def write(self, name, rest):
        return self.fpm.script(name, f"{LOGGED} {rest}")

    def runs(self, kind):
        return self.workdir.joinpath("runs").read_text().split().count(kind)

    def helper(self, **pool):
        own = {"name": "web", "listen": self.fpm.listen(), "pm": "static", "max_children": 2, **pool}
        return Helper(self.workdir, [own], master={"pid": self.fpm.pid}, probe_interval_ms=200)


@pytest.fixture
def scripts(workdir):
    with Fpm(workdir) as fpm:
        yield Scripts(workdir, fpm)


def occupied(fpm, script):
    """A connection whose worker runs the script."""
    sock = fcgi.connect(fpm.listen())
    fcgi.send(sock, script, "")
    return sock


def flag(workdir, name):
    """A file whose presence a script looks for."""
    path = workdir / name
    return path, f"file_exists('{path}')"


def test_the_pool_passes_only_after_its_warm_up_succeeded(scripts, workdir):
    path, there = flag(workdir, "warm")
    script = scripts.write("warm.php", f'if (!{there}) {{ http_response_code(503); echo "\\ncache is cold\\nmore"; }}')
    with scripts.helper(warmup=script) as helper:
        until(lambda: helper.pool()["reason"] == "cache is cold", what="the reason is the script's first line")
        assert helper.pool()["state"] == "starting"
        assert helper.get("/ready")[0] == 503
        path.touch()
        helper.wait_state("healthy")
        runs = scripts.runs("warmup")
        assert runs >= 2
        time.sleep(0.6)
        assert scripts.runs("warmup") == runs, "warm once, warm for good"
        assert helper.pool()["state"] == "healthy"


def test_a_query_is_passed_on(scripts):
    script = scripts.write("warm.php", "if (($_GET['key'] ?? '') !== 'a b') { http_response_code(500); }")
    with scripts.helper(warmup=script + "?key=a%20b") as helper:
        helper.wait_state("healthy")


@pytest.mark.parametrize("source, reason", [
    ("http_response_code(500);", "the warm-up script answers 500"),
    ("header('Location: /login');", "the warm-up script answers 302"),
    ("throw new Exception('x');", "the warm-up script answers 500"),
])  # fmt: skip
def test_what_is_not_200_is_a_failure(scripts, source, reason):
    with scripts.helper(warmup=scripts.write("warm.php", "ini_set('display_errors', '0');" + source)) as helper:
        until(lambda: helper.pool()["reason"] == reason, what=reason)
        assert helper.pool()["state"] == "starting"


def test_a_script_that_is_not_there_never_passes(scripts, workdir):
    with scripts.helper(warmup=f"{workdir}/missing.php") as helper:
        until(lambda: helper.pool()["reason"] == "File not found.", what="FPM's words")
        assert helper.pool()["state"] == "starting"


def test_a_failing_probe_is_degraded_with_its_first_line(scripts, workdir):
    path, there = flag(workdir, "away")
    script = scripts.write("probe.php", f"if ({there}) {{ http_response_code(503); echo 'database away'; }}")
    with scripts.helper(probe=script) as helper:
        helper.wait_state("healthy")
        path.touch()
        assert helper.wait_state("degraded") < 1
        assert helper.pool()["reason"] == "database away"
        assert helper.get("/consul/web")[0] == 429
        assert helper.get("/haproxy/web")[0] == 200
        path.unlink()
        assert helper.wait_state("healthy") < 1


def test_a_probe_that_a_reload_takes_away_is_forgotten(scripts):
    with scripts.helper(probe=scripts.write("probe.php", "http_response_code(500);")) as helper:
        helper.wait_state("degraded")
        del helper.config["pools"][0]["probe"]
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        helper.wait_state("healthy")


def test_a_probe_that_hangs_is_degraded_and_holds_one_worker_only(scripts, workdir):
    path, there = flag(workdir, "hang")
    script = scripts.write("probe.php", f"while ({there}) {{ usleep(5000); clearstatcache(); }}")
    with scripts.helper(probe=script) as helper:
        helper.wait_state("healthy")
        until(lambda: scripts.runs("probe") > 0, what="it runs")
        path.touch()
        helper.wait_state("degraded", timeout=8)
        assert helper.pool()["reason"] == "the probe script does not answer in time"
        before = scripts.runs("probe")
        assert helper.pool()["workers"]["active"] == 1
        time.sleep(1)
        assert scripts.runs("probe") == before, "one at a time"
        path.unlink()
        helper.wait_state("healthy", timeout=5)


def test_no_probe_is_sent_while_no_worker_is_idle(scripts):
    held = Held(scripts.fpm)
    # before the helper is there: no probe is on its way
    sockets = [occupied(scripts.fpm, held.script) for _ in range(2)]
    with scripts.helper(probe=scripts.write("probe.php", "")) as helper:
        until(lambda: helper.pool()["workers"]["active"] == 2, what="both are busy")
        time.sleep(1)
        assert scripts.runs("probe") == 0
        assert helper.pool()["queue"]["length"] == 0
        held.release()
        for sock in sockets:
            sock.close()
        until(lambda: scripts.runs("probe") > 0, what="it runs")


def test_a_helper_that_follows_another_does_not_warm_up_again(scripts, workdir):
    script = scripts.write("warm.php", "")
    pools = [{"name": "web", "listen": scripts.fpm.listen(), "pm": "static", "max_children": 2, "warmup": script}]
    board = boards.Board({"web": 2})
    board.set_master(scripts.fpm.pid)
    try:
        with Helper(workdir, pools, board=board) as helper:
            until(lambda: board.state() == "healthy", what="healthy")
            assert scripts.runs("warmup") == 1
            helper.process.kill()
            helper.process.wait()
            helper.start()
            time.sleep(0.5)
            assert board.state() == "healthy"
            assert scripts.runs("warmup") == 1
    finally:
        board.close()


def test_fpm_status_figures_are_without_our_scripts(workdir):
    own = {"listen": f"127.0.0.1:{free_port()}", "pm.status_path": "/fpm-status"}
    with Fpm(workdir, {"web": own}) as fpm:
        scripts = Scripts(workdir, fpm)
        with scripts.helper(probe=scripts.write("probe.php", ""), status_path="/fpm-status") as helper:
            until(lambda: scripts.runs("probe") >= 5, what="five probes")
            time.sleep(1.1)
            assert helper.pool()["requests"] == 0


@pytest.mark.skipif(not os.path.exists(SO), reason="no svcreg.so on this machine")
def test_what_the_extension_counts_is_without_our_scripts(workdir):
    node = Node(workdir, "scripts", None)
    scripts = Scripts(workdir, node)
    node.ini |= {
        "svcreg.warmup": scripts.write("warm.php", "usleep(50000);"),
        "svcreg.probe": scripts.write("probe.php", "usleep(50000);"),
        "svcreg.probe_interval": "100ms",
    }
    with node:
        until(lambda: scripts.runs("probe") >= 5, what="five probes")
        assert scripts.runs("warmup") == 1
        assert node.pool_status()["requests"] == 0
        for _ in range(3):
            assert node.request(node.page).body
        until(lambda: node.pool_status()["requests"] == 3, what="three requests, none of ours")
        assert node.pool_status()["state"] == "healthy"
