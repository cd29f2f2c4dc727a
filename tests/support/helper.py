"""fpm-health as a running helper or stand-alone daemon, and its HTTP side."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from .clock import Stopwatch
from .waiting import until

ROOT = Path(__file__).resolve().parents[2]
BIN = os.environ.get("SVCREG_HELPER") or str(ROOT / "fpm-health" / "fpm-health")


SANITIZED = os.path.exists(BIN) and b"__asan_init" in Path(BIN).read_bytes()
REPORTS_AT_EXIT = SANITIZED or "SVCREG_COVERAGE" in os.environ  # leaks, or the lines it ran


def end(process, timeout=5):
    """Ends a daemon. One that reports at its exit leaves by itself: told until it is gone."""
    deadline = time.monotonic() + (timeout if REPORTS_AT_EXIT else 0)
    while process.poll() is None and time.monotonic() < deadline:
        process.send_signal(signal.SIGCONT)
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
    if process.poll() is None:
        process.kill()
    process.wait()


def assert_sane(report):
    """No sanitizer has found anything."""
    assert "Sanitizer" not in report and "runtime error" not in report, report


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout=10):
        super().__init__("localhost", timeout=timeout)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def listens(directory, http, agent):
    """The top keys for HTTP and the agent-check on these ports; where a Helper is asked by its own test stays."""
    return {
        "health_listen": [f"127.0.0.1:{http}", f"unix:{directory}/health.sock"],
        "agent_listen": [f"127.0.0.1:{agent}"],
    }


class Helper:
    """
    `with Helper(directory, pools=[{"name": …, "listen": …}], **top) as helper:` writes config.json and serves it.

    With `board` (support.board.Board) it is started as the extension starts it.
    """

    def __init__(self, directory, pools, board=None, **top):
        self.directory = Path(directory)
        self.board = board
        self.run_root = self.directory / "run"
        self.run_dir = self.run_root / "test"
        self.config_path = self.directory / "config.json"
        self.log_path = self.directory / "helper.log"
        self.output = self.directory / "helper.out"
        self.config = {
            "generation": board.header.generation if board else 0, "node": "n1", "instance": "test", "pools": pools,
            "run_dir": str(self.run_dir), "log": str(self.log_path),
            "health_listen": [f"unix:{self.directory}/health.sock"],
            **top,
        }  # fmt: skip
        self.process = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def write_config(self):
        """Writes config.json by rename, as the extension does."""
        fresh = self.config_path.with_suffix(".new")
        fresh.write_text(json.dumps(self.config))
        fresh.rename(self.config_path)

    def reload(self, pools=None, layout=None):
        """What a reload's MINIT does: board laid out anew, config.json, doorbell. Waits for the acknowledgement."""
        if layout:
            self.board.layout(layout)
        if pools:
            self.config["pools"] = pools
        self.config["generation"] += 1
        self.write_config()
        self.board.header.generation = self.config["generation"]
        self.board.ring()
        until(
            lambda: self.board.header.acked_generation == self.config["generation"], what="the reload is acknowledged"
        )

    def start(self, wait=True):
        self.write_config()
        arguments = [BIN, "serve", "--config", str(self.config_path)]
        fds = self.board.fds() if self.board else ()
        if fds:
            arguments += ["--board", ",".join(map(str, fds))]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                arguments, pass_fds=fds, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )
        if wait:
            until(self.answers, what="the helper serves")
        return self

    def answers(self):
        assert self.process.poll() is None, self.output.read_text() + self.log_text()
        try:
            return self.get("/live")
        except OSError:
            return None

    def stop(self):
        """Ends it if it still runs; a sanitizer's report fails the test."""
        if self.process:
            end(self.process)
            assert_sane(self.output.read_text())

    def wait(self, timeout=10):
        return self.process.wait(timeout)

    def proc(self, name):
        """A file of /proc/PID of the helper."""
        return Path(f"/proc/{self.process.pid}/{name}").read_text()

    def log_text(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def wait_log(self, text, timeout=5.0, count=1):
        until(lambda: self.log_text().count(text) >= count, timeout, f"log says {text!r}: {self.log_text()}")

    def request(self, method, path, sock="health.sock", headers=None):
        """(status, headers, body) of one request on a unix socket of the helper."""
        at = self.run_dir / sock if sock == "control.sock" else self.directory / sock
        connection = UnixConnection(at)
        try:
            connection.request(method, path, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def get(self, path, **more):
        return self.request("GET", path, **more)

    def status(self):
        return json.loads(self.get("/status")[2])

    def pool(self, name="web"):
        return next(p for p in self.status()["pools"] if p["name"] == name)

    def wait_state(self, state, pool="web", timeout=5.0):
        """Waits until /status says so, returns the seconds it took, as a Stopwatch counts them."""
        watch = Stopwatch(self.process.pid)
        until(lambda: self.pool(pool)["state"] == state, timeout, f"{pool} {state}, is {self.pool(pool)}", every=0.002)
        return watch.seconds()

    def cli(self, *arguments):
        """Runs the command line against this helper."""
        command = [BIN, *arguments, "--run-dir", str(self.run_root)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)
