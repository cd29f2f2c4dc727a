"""A laboratory for the nginx image: its container on the host's network, a real Consul, members on 127.0.0.1.

Members keep themselves registered the way svcreg does it: a TTL check whose output begins with the state's word, a
heartbeat, and a registration anew as soon as Consul refuses a heartbeat.
"""

import contextlib
import errno
import functools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from load import Load

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.consul import Consul
from support.fpm import Fpm
from support.waiting import free_port, free_ports, until

ROOT = Path(__file__).resolve().parents[2]
HEARTBEAT_S = 0.3
CONSUL_STATUS = {"healthy": "passing", "degraded": "warning"}

PAGE = """<?php
header('Content-Type: text/plain');
if (isset($_GET['status'])) http_response_code((int) $_GET['status']);
if (isset($_GET['begun'])) file_put_contents($_GET['begun'], '.', FILE_APPEND);
if (isset($_GET['sleep'])) usleep(1000 * (int) $_GET['sleep']);
if (is_file($_SERVER['DRAINS'])) header('Svcreg-State: draining'); // as svcreg does once FPM is told to stop
if (isset($_GET['die'])) posix_kill(posix_getpid(), 9);
if (isset($_GET['server'])) exit(json_encode($_SERVER));
echo $_SERVER['NODE'], "\\n";
"""


def docker(*arguments, check=True):
    result = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=120)
    assert not check or result.returncode == 0, f"docker {' '.join(arguments)}: {result.stderr}"
    return result.stdout + result.stderr if not check else result.stdout


@functools.cache
def image():
    """The image under test: SVCREG_NGINX_IMAGE, else ours, built if its sources changed."""
    named = os.environ.get("SVCREG_NGINX_IMAGE")
    if not named:
        subprocess.run([ROOT / "script" / "images", "nginx"], check=True, timeout=1500)
    return named or "svcreg/nginx:latest"


class Registration:
    """One entry in Consul: what is said of it, kept up by a heartbeat until `stop()`."""

    def __init__(self, consul, service, name, port, ours=True, weight=2):
        self.consul, self.service, self.name, self.port, self.ours = consul, service, name, port, ours
        self.weight = weight
        self.state = "healthy"
        self.wanted = False
        self.delay_s = 0.0  # how late it notices that Consul has forgotten it
        self.forgotten_at = None
        self.lock = threading.Lock()
        self.stopping = threading.Event()
        self.heart = None

    @property
    def id(self):
        return f"svcreg:{self.name}:lab:{self.service}"

    def register(self, state="healthy"):
        """In Consul, in `state`, when this returns."""
        with self.lock:
            self.state, self.wanted = state, True
            self._register()
        if self.ours and self.heart is None:
            self.heart = threading.Thread(target=self._beat, daemon=True)
            self.heart.start()

    def say(self, state):
        with self.lock:
            self.state = state
            self._update()

    def deregister(self):
        with self.lock:
            self.wanted = False
            self.consul.put(f"/v1/agent/service/deregister/{self.id}")

    def stop(self):
        self.stopping.set()
        if self.heart:
            self.heart.join()

    def _register(self):
        body = {"ID": self.id, "Name": self.service, "Address": "127.0.0.1", "Port": self.port}
        body["Weights"] = {"Passing": self.weight, "Warning": 1}
        if self.ours:
            body["Meta"] = {"svcreg": "0.1.0", "pool": self.service}
            body["Check"] = {"CheckID": f"{self.id}:ttl", "TTL": "60s", "Status": "critical"}
        self.consul.put("/v1/agent/service/register", body)
        if self.ours:
            self._update()

    def _update(self):
        body = {"Status": CONSUL_STATUS.get(self.state, "critical"), "Output": f"{self.state}: said the test"}
        self.consul.put(f"/v1/agent/check/update/{self.id}:ttl", body)

    def _beat(self):
        while not self.stopping.wait(HEARTBEAT_S):
            with self.lock:
                if not self.wanted:
                    continue
                try:
                    self._update()
                except urllib.error.HTTPError:
                    self.forgotten_at = self.forgotten_at or time.monotonic()
                    if time.monotonic() - self.forgotten_at >= self.delay_s:
                        self.forgotten_at = None
                        self._register()
                except OSError:
                    pass


class Member(Registration):
    """A real FPM with one pool, and its registration."""

    def __init__(self, consul, service, name, directory, weight=2):
        super().__init__(consul, service, name, free_port(), ours=True, weight=weight)
        home = directory / name
        home.mkdir(mode=0o755)
        self.drains = home / "drains"  # while it is there, each answer says that this member drains
        pool = {
            "listen": f"127.0.0.1:{self.port}",
            "pm.max_children": 3,
            "env[NODE]": name,
            "env[DRAINS]": self.drains,
            "catch_workers_output": "no",
        }
        self.fpm = Fpm(home, {service: pool}, ini={"svcreg.enabled": 0})

    def start(self):
        self.fpm.start()
        return self

    def die(self):
        """SIGKILL to master and workers: when this returns the port refuses. The entry in Consul stays as it is."""
        self.fpm.kill()
        until(self.refuses, 5, f"{self.name} is dead")

    def refuses(self):
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.port)) == errno.ECONNREFUSED

    def stop(self):
        super().stop()
        self.fpm.kill()


class Plain(Registration):
    """A plain HTTP service that is not ours; its page is its name, `/headers` gives what it was sent."""

    def __init__(self, consul, service, name):
        member = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = {"protocol": self.request_version, **{k.lower(): v for k, v in self.headers.items()}}
                text = json.dumps(body) if self.path == "/headers" else f"{member.name}\n"
                self.send_response(503 if self.path == "/busy" else 200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        super().__init__(consul, service, name, self.server.server_port, ours=False, weight=1)

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def die(self):
        self.server.shutdown()
        self.server.server_close()

    def stop(self):
        super().stop()
        self.die()


class Nginx:
    """The container as an operator would run it: no capability, read-only root, one volume for the last list."""

    def __init__(self, consul, service, root, configuration=None, environment=None):
        self.name = f"svcreg-test-nginx-{secrets.token_hex(4)}"
        self.volume = self.name
        self.port, self.status_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.configuration = configuration
        self.environment = {
            "CONSUL": f"127.0.0.1:{consul.port}",
            "SERVICE": service,
            "NGINX_PORT": self.port,
            "NGINX_STATUS_PORT": self.status_port,
            "NGINX_ROOT": root,
            **(environment or {}),
        }

    def start(self):
        options = ["--network=host", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--read-only"]
        options += ["--tmpfs=/tmp", f"--volume={self.volume}:/var/lib/svcreg-nginx"]
        if self.configuration:
            options.append(f"--volume={self.configuration}:/etc/svcreg-nginx:ro")
        options += [f"--env={name}={value}" for name, value in self.environment.items()]
        docker("run", "--detach", f"--name={self.name}", *options, image())
        self.wait_up()
        return self

    def wait_up(self):
        until(lambda: self.status() is not None, 15, f"nginx is up: {self.logs()}", every=0.05)

    def restart(self):
        docker("restart", self.name)
        self.wait_up()

    def remove_container(self):
        """The volume stays."""
        docker("rm", "--force", self.name, check=False)

    def stop(self):
        self.remove_container()
        docker("volume", "rm", "--force", self.volume, check=False)

    def run(self, *command):
        return docker("exec", self.name, *command)

    def inspect(self, template):
        return docker("inspect", "--format", template, self.name).strip()

    def exit_code(self):
        """None while the container runs."""
        status, code = self.inspect("{{.State.Status}} {{.State.ExitCode}}").split()
        return int(code) if status == "exited" else None

    def logs(self):
        return docker("logs", self.name, check=False)

    def signal(self, name):
        docker("kill", f"--signal={name}", self.name)

    def status(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.status_port}/status", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            return None

    def states(self):
        """{id: state} as all workers see it, None while they do not agree."""
        status = self.status()
        if not status or not status["agreed"]:
            return None
        return {member["id"]: member["state"] for member in status["members"]}

    def wait_states(self, expected, timeout=10):
        """Waits until all workers have exactly these members: {Registration: state}."""
        wanted = {registration.id: state for registration, state in expected.items()}
        until(lambda: self.states() == wanted, timeout, f"nginx has {wanted}: {self.states()}", every=0.02)

    def processes(self):
        """{pid: title} of nginx's own processes, seen from the host."""
        rows = (line.split(None, 1) for line in docker("top", self.name, "-eo", "pid,args").splitlines()[1:])
        return {int(pid): title for pid, title in rows if title.startswith("nginx:")}

    def get(self, path="/", method="GET", headers=None):
        """-> (status, headers, body) of one request on a connection of its own."""
        data = b"x=1" if method == "POST" else None
        request = urllib.request.Request(self.url + path, data=data, method=method, headers=headers or {})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.headers, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers, error.read().decode()


class Lab:
    """Starts what a test asks for, all under one service's name, and ends it again."""

    def __init__(self, directory, consul):
        self.directory = directory
        self.consul = consul
        self.service = f"web-{secrets.token_hex(3)}"
        self.parts = []
        self.root = directory / "src"
        self.root.mkdir(mode=0o755)
        (self.root / "index.php").write_text(PAGE)
        (self.root / "other.php").write_text("<?php echo 'other ', $_SERVER['PATH_INFO'] ?? '', \"\\n\";")

    def add(self, part):
        self.parts.append(part)
        return part

    def members(self, *names, weight=2, register=True):
        made = [self.add(Member(self.consul, self.service, name, self.directory, weight)).start() for name in names]
        for member in made if register else []:
            member.register()
        return made

    def plain(self, *names):
        made = [self.add(Plain(self.consul, self.service, name)).start() for name in names]
        for member in made:
            member.register()
        return made

    def nginx(self, **more):
        """A running nginx that has all members registered until now."""
        made = self.add(Nginx(self.consul, self.service, self.root, **more)).start()
        wanted = {part.id for part in self.parts if isinstance(part, Registration) and part.wanted}
        until(lambda: set(made.states() or ()) >= wanted, 10, f"nginx has {wanted}", every=0.02)
        return made

    def end(self):
        """Ends all, and leaves no entry in a Consul that other tests use too."""
        for part in reversed(self.parts):
            part.stop()
        for part in self.parts:
            if isinstance(part, Registration) and part.wanted and self.consul.process:
                part.deregister()


def open_directory():
    """A temporary directory that FPM's workers and the container may enter."""
    path = Path(tempfile.mkdtemp(prefix="svcreg-", dir="/tmp"))
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def new_consul():
    """A Consul without anything in it. The agent may be stopped and started by the test."""
    path = open_directory()
    with Consul(path) as agent:
        yield agent
    shutil.rmtree(path)


@contextlib.contextmanager
def laboratory(consul):
    path = open_directory()
    lab = Lab(path, consul)
    try:
        yield lab
    finally:
        lab.end()
        shutil.rmtree(path)


def requests(nginx, count, path="/", method="GET", clients=1):
    """At least `count` requests, on kept-alive connections. -> the load's result"""
    load = Load(nginx.url + path, clients=clients, method=method)
    with load:
        until(lambda: sum(c.result.total for c in load.clients) >= count, 60, f"{count} requests", every=0.002)
    return load.result


def assert_unavailable(answer):
    """The small page of nginx itself, and never one of its own errors."""
    status, headers, body = answer
    assert status == 503, (status, body)
    assert headers["Retry-After"].isdigit(), headers
    assert headers["Content-Type"] == "text/plain"
    assert "<html" not in body
