"""Peers that want to cost us something: connections that are opened and never used, requests that never end."""

import socket
import subprocess
import time

from support.helper import BIN, Helper

NOWHERE = [{"name": "web", "listen": "/nowhere/web.sock"}]


def connect(helper):
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(helper.directory / "health.sock"))
    return sock


def test_a_request_that_comes_byte_by_byte_has_five_seconds(workdir):
    with Helper(workdir, NOWHERE) as helper, connect(helper) as sock:
        begin = time.monotonic()
        sock.settimeout(0.5)
        for byte in b"GET /live HTTP/1.1\r\n" + b"x" * 100:
            try:
                sock.send(bytes([byte]))
                if sock.recv(100) == b"":
                    break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        assert 4 < time.monotonic() - begin < 9


def test_more_connections_than_places_cost_the_idle_ones(workdir):
    helper = Helper(workdir, NOWHERE)
    helper.write_config()
    few = ["prlimit", "--nofile=256:256", BIN, "serve", "--config", str(helper.config_path)]
    idle = []
    with subprocess.Popen(few, stderr=subprocess.PIPE) as helper.process:
        try:
            helper.wait_log("serving")
            for _ in range(400):
                idle.append(connect(helper))
            assert helper.get("/live")[0] == 200
            assert idle[0].recv(1) == b""
        finally:
            helper.process.kill()
    for sock in idle:
        sock.close()
