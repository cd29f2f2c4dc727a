"""What a service manager is told, and the unit that makes systemd start the daemon."""

import configparser
import contextlib
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from support import http
from support.clock import SELF, Stopwatch
from support.fpm import Fpm
from support.processes import is_stopped
from support.waiting import free_port, until

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "docs" / "systemd" / "fpm-health.service"


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir, {"web": {"listen": f"127.0.0.1:{free_port()}"}}) as fpm:
        yield fpm


class Manager:
    """A service manager's end of NOTIFY_SOCKET."""

    def __init__(self, path, abstract=False):
        self.name = f"@{path}" if abstract else str(path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(f"\0{path}" if abstract else str(path))
        self.socket.settimeout(5)

    def next(self, *ignored):
        """The next message that does not begin with one of the words."""
        while True:
            text = self.socket.recv(4096).decode()
            if not text.startswith(ignored):
                return text

    def wait(self, part):
        while part not in (text := self.next()):
            pass
        return text

    def everything(self, quiet_s):
        """What comes until there is quiet for so long."""
        self.socket.settimeout(quiet_s)
        texts = []
        with contextlib.suppress(TimeoutError):
            while len(texts) < 100:
                texts.append(self.next())
        return texts


@pytest.fixture(params=["path", "abstract"])
def manager(request, workdir):
    manager = Manager(workdir / "notify", request.param == "abstract")
    yield manager
    manager.socket.close()


@pytest.fixture
def plain_manager(workdir):
    manager = Manager(workdir / "notify")
    yield manager
    manager.socket.close()


def test_systemd_is_told_of_start_reload_and_stop(workdir, fpm, serve, manager):
    config = {"pools": [{"name": "web", "listen": fpm.listen()}], "run_dir": str(workdir / "run")}
    config["health_listen"] = [f"127.0.0.1:{free_port()}"]
    path = workdir / "config.json"
    path.write_text(json.dumps(config))
    process = serve("--config", str(path), NOTIFY_SOCKET=manager.name)
    assert manager.next("STATUS") == "READY=1"
    assert http.status(int(config["health_listen"][0].split(":")[1]), "/live") == 200, "ready means: it listens"
    assert manager.wait("1 healthy") == "STATUS=1 pool: 1 healthy; Consul off"
    before_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    process.send_signal(signal.SIGHUP)
    reloading = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", manager.next("STATUS"))
    after_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    assert before_us - 1000 <= int(reloading[1]) <= after_us
    assert manager.next("STATUS") == "READY=1"
    path.write_text("{")
    process.send_signal(signal.SIGHUP)
    assert manager.next("STATUS").startswith("RELOADING=1")
    assert manager.next("STATUS") == "READY=1"
    assert "config.json: line 1" in manager.wait("config.json")
    process.terminate()
    assert manager.next() == "STOPPING=1", "told as the drain begins"
    assert manager.wait("1 draining")
    assert process.wait(5) == 0


def test_the_watchdog_is_fed_while_the_loop_turns_and_no_longer(workdir, fpm, serve, plain_manager):
    process = serve(
        "--pool",
        f"web={fpm.listen()}",
        "--run-dir",
        str(workdir / "run"),
        NOTIFY_SOCKET=plain_manager.name,
        WATCHDOG_USEC="400000",
    )
    for _ in range(3):
        plain_manager.wait("WATCHDOG=1")
    watch = Stopwatch(SELF, process.pid)
    plain_manager.wait("WATCHDOG=1")
    assert watch.seconds() <= 0.4, "within the time that systemd allows"
    process.send_signal(signal.SIGSTOP)
    until(lambda: is_stopped(process.pid), what="it is stopped")
    plain_manager.everything(0.1)
    assert plain_manager.everything(1) == []


def test_somebody_elses_watchdog_is_not_fed(workdir, fpm, serve, plain_manager):
    serve(
        "--pool",
        f"web={fpm.listen()}",
        "--run-dir",
        str(workdir / "run"),
        NOTIFY_SOCKET=plain_manager.name,
        WATCHDOG_USEC="100000",
        WATCHDOG_PID="1",
    )
    plain_manager.wait("1 healthy")
    assert "WATCHDOG" not in "".join(plain_manager.everything(0.5))


def test_a_manager_that_is_gone_or_wrong_stops_nothing(workdir, fpm, serve):
    for number, name in enumerate((str(workdir / "nobody-listens"), "no-path", "/" + "x" * 200)):
        port = free_port()
        serve(
            "--pool",
            f"web={fpm.listen()}",
            "--http",
            f":{port}",
            "--run-dir",
            str(workdir / str(number)),
            NOTIFY_SOCKET=name,
            WATCHDOG_USEC="100000",
        )
        until(lambda port=port: http.status(port, "/ready") == 200, what=f"ready with {name}")


def test_the_unit_is_one_that_systemd_takes_and_starts_what_it_says(workdir, fpm, serve, plain_manager):
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str
    unit.read(UNIT)
    command = shlex.split(unit["Service"]["ExecStart"])
    (workdir / UNIT.name).write_text(UNIT.read_text().replace(command[0], shutil.which("true")))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", workdir / UNIT.name], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name in line]) == (0, []), done.stderr

    sidecar = json.loads(re.search(r"^```json\n(.*?)^```$", (ROOT / "docs/config.md").read_text(), re.M | re.S)[1])
    sidecar |= {"run_dir": str(workdir / "run"), "consul": {"url": "off"}, "health_listen": []}
    sidecar["pools"][0]["listen"] = fpm.listen()
    path = workdir / "fpm-health.json"
    path.write_text(json.dumps(sidecar))
    assert unit["Service"]["Type"] == "notify"
    serve(*command[2:-1], str(path), NOTIFY_SOCKET=plain_manager.name)
    assert plain_manager.next("STATUS") == "READY=1"
