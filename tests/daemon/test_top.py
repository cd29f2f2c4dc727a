"""`fpm-health top`, on a terminal and into a pipe."""

import contextlib
import json
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from support import fcgi
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.terminal import Terminal
from support.waiting import until

HOSTILE = "\033[31mred\u009b2J"  # what a terminal would obey


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir, {"web": {"pm.max_children": 4, "pm.status_path": "/status"}}) as fpm:
        yield fpm


@pytest.fixture
def helper(workdir, fpm):
    """A pool that serves, and one that does not."""
    pools = [
        {"name": "web", "listen": fpm.listen(), "max_children": 4, "status_path": "/status"},
        {"name": HOSTILE, "listen": "/nonexistent", "max_children": 4},
    ]
    with Helper(workdir, pools) as helper:
        helper.wait_state("healthy")
        until(lambda: helper.pool()["workers"]["total"] == 4, 5, "FPM has forked all workers")
        yield helper


def top(helper, *options, **more):
    return Terminal([BIN, "top", "--run-dir", helper.run_root, "--interval", "200ms", *options], **more)


def row(screen, name):
    return next((line for line in screen.splitlines() if line.startswith(name)), "")


def test_terminal_shows_pools_bars_and_consul_and_follows_them(helper, fpm):
    script = fpm.script("sleep.php", "<?php usleep((int) $_GET['us']);")
    with top(helper) as terminal:
        terminal.wait_text("1-2 of 2")
        text = terminal.text()
        assert text.splitlines()[0].startswith("test on n1, fpm-health ")
        assert "consul  off" in text
        assert "2 pools, 1 starting, 1 healthy" in text
        assert "[..........]" in row(text, "web") and "0/4" in row(text, "web")
        assert "not listening yet" in text
        with fcgi.connect(fpm.listen()) as sock:
            fcgi.send(sock, script, "us=3000000")
            until(lambda: "[|||.......]     1/4" in row(terminal.text(), "web"), 5, "a busy worker is seen")

        def requests_are_seen():
            fcgi.request(fpm.listen(), script, "us=1000")
            return re.search(r" [1-9]\d*\.\d ", row(terminal.text(), "web"))

        until(requests_are_seen, 5, "requests a second are seen")
        helper.cli("maint", "on", "web", "--reason", "new disk")
        terminal.wait_text("new disk")
        terminal.press("q")
        assert terminal.wait() == 0
        assert terminal.is_given_back()


def test_names_cannot_command_the_terminal(helper):
    with top(helper) as terminal:
        terminal.wait_text("?[31mred?2J")
        assert b"\033[31m" not in terminal.written and "\u009b".encode() not in terminal.written
    done = helper.cli("top", "--interval", "100ms")
    assert "?[31mred?2J" in done.stdout and "\033" not in done.stdout


def test_lines_are_never_wider_than_the_terminal_and_follow_its_size(helper):
    helper.cli("maint", "on", "--reason", "x" * 100)
    with top(helper, columns=60, rows=10) as terminal:
        terminal.wait_text("1-2 of 2")
        assert "WGT" not in terminal.text()
        assert sum("xx" in line for line in terminal.lines()) == 0  # the reason has no room, and wraps no line
        terminal.resize(140, 30)
        terminal.wait_text("x" * 40)
        assert "WGT REG REASON" in terminal.text()
        assert sum("xx" in line for line in terminal.lines()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_and_gives_the_terminal_back(helper, number):
    with top(helper) as terminal:
        terminal.wait_text("of 2")
        assert not terminal.is_given_back()
        terminal.send_signal(number)
        assert terminal.wait() == -number
        assert terminal.is_given_back()


def test_ctrl_z_gives_the_terminal_back_until_it_continues(helper):
    with top(helper) as terminal:
        terminal.wait_text("of 2")
        terminal.send_signal(signal.SIGTSTP)
        until(lambda: (terminal.read(), terminal.is_given_back())[1], 5, "the terminal is given back")
        terminal.send_signal(signal.SIGCONT)
        until(lambda: (terminal.read(), not terminal.is_given_back())[1], 5, "the view is back")
        terminal.press("q")
        assert terminal.wait() == 0


def test_it_outlives_the_helper_and_says_so(helper):
    with top(helper) as terminal:
        terminal.wait_text("of 2")
        helper.stop()
        terminal.wait_text("no answer")
        assert row(terminal.text(), "web")
        helper.start()
        until(lambda: "no answer" not in terminal.text(), 5, "the helper is seen again")
        terminal.press("q")
        assert terminal.wait() == 0


def test_a_helper_that_hangs_does_not_hold_ctrl_c_back(helper):
    with top(helper) as terminal:
        terminal.wait_text("of 2")
        helper.process.send_signal(signal.SIGSTOP)
        try:
            terminal.wait_text("no answer", 10)
            terminal.press("\x03")
            assert terminal.wait(2) == -signal.SIGINT
            assert terminal.is_given_back()
        finally:
            helper.process.send_signal(signal.SIGCONT)


def test_a_thousand_pools_scroll_and_what_needs_a_look_comes_first(workdir):
    pools = [{"name": f"pool{i:04}", "listen": f"/nonexistent/{i}"} for i in range(1000)]
    with Helper(workdir, pools) as helper:
        helper.cli("maint", "on", "pool0500")
        with top(helper, rows=20) as terminal:
            terminal.wait_text("1-15 of 1000")
            until(lambda: terminal.lines()[4].startswith("pool0000"), 5, "by name where all else is equal")
            terminal.press("\x1b[6~")
            terminal.wait_text("16-30 of 1000")
            terminal.press("G")
            terminal.wait_text("986-1000 of 1000")
            assert terminal.lines()[18].startswith("pool0500"), "maintenance is by intention: last"
            terminal.press("\x1b[A")
            terminal.wait_text("985-999 of 1000")
            terminal.press("g")
            terminal.wait_text("1-15 of 1000")
            terminal.press("q")
            assert terminal.wait() == 0


@contextlib.contextmanager
def slow_helper(directory, answer, seconds):
    """A control socket that answers each question with `answer`, late."""
    path = directory / "run" / "slow" / "control.sock"
    path.parent.mkdir(parents=True)
    body = json.dumps(answer).encode()

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    client.recv(4096)
                    time.sleep(seconds)
                    client.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body)

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(8)
        thread = threading.Thread(target=serve)
        thread.start()
        yield directory / "run"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_keys_count_also_where_the_helper_answers_slower_than_it_is_asked(workdir):
    pools = [{"name": f"p{i:02}", "state": "healthy"} for i in range(40)]
    with slow_helper(workdir, {"pools": pools}, 0.4) as run_root:
        with Terminal([BIN, "top", "--run-dir", run_root, "--interval", "100ms"], rows=15) as terminal:
            terminal.wait_text("1-10 of 40")
            for page in ("11-20", "21-30", "31-40"):
                terminal.press("\x1b[6~")
                terminal.wait_text(f"{page} of 40")
            terminal.press("q")
            assert terminal.wait() == 0


def test_saturated_comes_before_starting_and_healthy_last(workdir):
    with Fpm(workdir, {name: {"pm.max_children": 1} for name in ("aa", "cc")}) as fpm:
        pools = [{"name": name, "listen": fpm.listen(name), "max_children": 1} for name in ("aa", "cc")]
        script = fpm.script("sleep.php", "<?php sleep(20);")
        with Helper(workdir, [*pools, {"name": "bb", "listen": "/nonexistent"}]) as helper:
            for pool in pools:
                helper.wait_state("healthy", pool["name"])
            waiting = [fcgi.connect(fpm.listen("cc")) for _ in range(3)]
            for sock in waiting:
                fcgi.send(sock, script)
            helper.wait_state("degraded", "cc")
            text = helper.cli("top", "--interval", "1s").stdout
            names = [line.split()[0] for line in text.splitlines() if re.match("(aa|bb|cc) ", line)]
            assert names == ["cc", "bb", "aa"]
            assert "[||||||||||]     1/1 [||||||]     2" in row(text, "cc")
            for sock in waiting:
                sock.close()


def test_a_pipe_gets_plain_text_once(helper):
    done = helper.cli("top", "--interval", "100ms")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\033" not in done.stdout
    assert [line.split()[0] for line in done.stdout.splitlines()[:4]] == ["test", "consul", "2", "POOL"]


def test_a_pipe_gets_as_many_blocks_as_asked_for(helper):
    done = helper.cli("top", "--interval", "100ms", "--count", "3")
    assert len(re.findall("^POOL", done.stdout, re.M)) == 3


def test_a_reader_that_goes_away_ends_it(helper):
    command = f"{BIN} top --run-dir {helper.run_root} --interval 100ms --count 0 | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=20)
    assert done.stdout.startswith("test on n1")


def test_wrong_use_and_no_helper_are_told_apart(helper, workdir):
    assert helper.cli("top", "--interval", "soon").returncode == 64
    assert helper.cli("top", "--count", "-1").returncode == 64
    assert helper.cli("top", "web").returncode == 64
    helper.stop()
    assert helper.cli("top").returncode == 69


def test_no_color_is_respected(helper):
    with top(helper, NO_COLOR="1") as terminal:
        terminal.wait_text("of 2")
        assert not re.search(rb"\033\[[0-9;]*m", terminal.written)
