"""Real servers for the page: PHP's own web server, and redis, each on a port of its own."""

import contextlib
import json
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest
from support.fixtures import workdir  # noqa: F401, a fixture
from support.waiting import free_port, until

PAGE = Path(__file__).resolve().parents[2] / "src-www" / "index.php"

Answer = namedtuple("Answer", "status headers text seconds")

# Stands in for svcreg.so and FPM's scoreboard: the page asks these functions, the test says what they answer.
STUBS = """<?php
function svcreg_node(): string { return stub()['node']; }
function svcreg_pool(): ?string { return stub()['pools'][0]['name'] ?? null; }
function svcreg_status(): array { return isset(stub()['pools']) ? stub() : []; } // empty outside FPM
function fpm_get_status(): array
{
    return ['procs' => [['pid' => getmypid(), 'requests' => 18, 'start-since' => 95]]];
}
function stub(): array { return json_decode(file_get_contents(__DIR__ . '/status.json'), true); }
require getenv('PAGE');
"""


class Server:
    def __init__(self, port):
        self.port = port

    def get(self, target="/", body=None, method=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{target}", body, method=method)
        start = time.monotonic()
        try:
            answer = urllib.request.urlopen(request, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read().decode()
            return Answer(answer.status, answer.headers, text, time.monotonic() - start)

    def json(self, target="/?json", **more):
        return json.loads(self.get(target, **more).text)


@contextlib.contextmanager
def running(argv, **more):
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, **more)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture
def closed_port():
    """A port on which nobody listens."""
    return free_port()


@pytest.fixture
def redis(tmp_path, closed_port):
    """Port of an empty redis."""
    argv = ["redis-server", "--bind", "127.0.0.1", "--port", str(closed_port), "--save", "", "--dir", tmp_path]
    with running(argv, stdout=subprocess.PIPE, text=True) as process:
        log = ""
        for line in process.stdout:
            log += line
            if "Ready to accept connections" in line:
                break
        else:
            pytest.fail(f"redis did not start:\n{log}")
        yield closed_port


@pytest.fixture
def serve(tmp_path, closed_port):
    """Starts the page: serve(node=…, redis=PORT, status={…}) with stubs where a status is given."""
    with contextlib.ExitStack() as stack:

        def start(node="web-1", redis=closed_port, status=None, php=()):
            entry = PAGE
            folder = tmp_path / f"server-{node.encode().hex()}"
            folder.mkdir()
            if status is not None:
                entry = folder / "router.php"
                entry.write_text(STUBS)
                (folder / "status.json").write_text(json.dumps({"node": node, **status}))
            env = {
                "PATH": os.environ["PATH"],
                "PAGE": str(PAGE),
                "SVCREG_NODE": node,
                "REDIS_HOST": "127.0.0.1",
                "REDIS_PORT": str(redis),
            }
            log = folder / "log"
            argv = ["php", *php, "-S", "127.0.0.1:0", "-t", folder, entry]
            with log.open("wb") as sink:
                stack.enter_context(running(argv, env=env, stdout=sink, stderr=sink))
            started = until(lambda: re.search(r"127\.0\.0\.1:(\d+)\) started", log.read_text()), what="php -S")
            return Server(int(started[1]))

        yield start
