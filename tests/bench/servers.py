"""What is measured side by side: each on one thread and one core, answering 200 to everything or to one path."""

import contextlib
import json
import shutil
import subprocess

from support.fpm import Fpm
from support.helper import BIN as FPM_HEALTH
from support.helper import Helper
from support.waiting import free_port, until

from .measure import SERVER_CORE, pinned

PATHS = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"

HAPROXY = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout client 60s
    timeout connect 1s
    timeout server 60s
frontend f
    bind 127.0.0.1:{port}
    http-request return status 200 content-type "{kind}" string "{said}"{more}
"""

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {directory}/body;
    fastcgi_temp_path {directory}/fastcgi;
    proxy_temp_path {directory}/proxy;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type text/plain; return 200 "ok\\n"; }}
        location ~ ^/(ping|page) {{
            fastcgi_pass unix:{fpm};
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param SCRIPT_NAME $uri;
            fastcgi_param REQUEST_URI /?$query_string;
            fastcgi_param SCRIPT_FILENAME {script};
        }}
    }}
}}
"""


class Server:
    """A running server: the name it is shown by, its process, and where it is asked."""

    def __init__(self, name, process, port, path="/"):
        self.name, self.process, self.url = name, process, f"http://127.0.0.1:{port}{path}"

    @property
    def pid(self):
        return self.process.pid

    def answers(self):
        assert self.process.poll() is None, f"{self.name} has ended"
        return subprocess.run(["curl", "-sf", "-o", "/dev/null", self.url], check=False).returncode == 0


@contextlib.contextmanager
def running(name, command, port, directory, path="/"):
    with (directory / "out").open("ab") as out:
        process = subprocess.Popen(pinned(SERVER_CORE, command), stdout=out, stderr=out)
    try:
        server = Server(name, process, port, path)
        until(server.answers, 10, f"{name} answers", every=0.05)
        yield server
    finally:
        process.kill()
        process.wait()


SHORT = {"kind": "text/plain", "said": "ok\\n", "more": ""}
LIKE_OURS = {"kind": "text/plain; charset=utf-8", "said": "live\\n", "more": " hdr Cache-Control no-store"}


def haproxy_command(directory, answer):
    """The command, and the port that it then serves."""
    port = free_port()
    config = directory / f"haproxy{port}.cfg"
    config.write_text(HAPROXY.format(port=port, **answer))
    return [shutil.which("haproxy", path=PATHS), "-db", "-f", config], port


@contextlib.contextmanager
def haproxy(directory, name="HAProxy `return 200`", answer=SHORT):
    command, port = haproxy_command(directory, answer)
    with running(name, command, port, directory) as server:
        yield server


@contextlib.contextmanager
def nginx(directory, fpm="/nonexistent", script="/nonexistent", path="/", name="nginx `return 200`"):
    port, config = free_port(), directory / f"nginx{free_port()}.conf"
    config.write_text(NGINX.format(port=port, directory=directory, fpm=fpm, script=script))
    with running(name, [shutil.which("nginx", path=PATHS), "-c", config], port, directory, path) as server:
        yield server


def folder_in(directory, name):
    """A folder that FPM's workers may enter."""
    folder = directory / name
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def pool_names(count):
    return [f"p{i:04}" for i in range(count)]


FORKS_S = 180  # FPM's start with 1,000 pools, each of which forks a worker


@contextlib.contextmanager
def forked(fpm):
    """An Fpm that may take its time to fork very many workers."""
    try:
        fpm.start(wait=False)
        fpm.wait_ready(timeout=FORKS_S)
        yield fpm
    finally:
        fpm.kill()


@contextlib.contextmanager
def fpm_with(directory, count, **own):
    """A real FPM with so many pools of one worker each, and the pools as config.json names them."""
    own = {"pm.max_children": 1, **own}
    with forked(Fpm(directory, {name: dict(own) for name in pool_names(count)})) as fpm:
        listed = [
            {"name": name, "listen": fpm.listen(name), "pm": "static", "max_children": own["pm.max_children"]}
            for name in pool_names(count)
        ]
        yield fpm, listed


@contextlib.contextmanager
def fpm_health(directory, pools, name="fpm-health", state="healthy", path="/live", **more):
    """fpm-health with these pools, once all of them are in `state`; the Helper is `server.helper`."""
    port = free_port()
    directory.mkdir(exist_ok=True)
    listens = [f"unix:{directory}/health.sock", f"127.0.0.1:{port}"]
    with Helper(directory, pools, health_listen=listens, **more) as helper:
        subprocess.run(["taskset", "-cp", str(SERVER_CORE), str(helper.process.pid)], check=True, capture_output=True)
        server = Server(name, helper.process, port, path)
        server.helper = helper
        until(lambda: all(p["state"] == state for p in helper.status()["pools"]), 60, f"all pools {state}", every=0.1)
        yield server


def fpm_health_command(directory, pools):
    """The same for fpm-health, which is then nobody's child but the caller's."""
    port = free_port()
    config = {
        "node": "n", "instance": "i", "pools": pools, "run_dir": str(directory), "log": str(directory / "log"),
        "health_listen": [f"127.0.0.1:{port}"], "consul": {"url": "off"},
    }  # fmt: skip
    return [FPM_HEALTH, "serve", "--config", write_json(directory / "config.json", config)], port


def listed(count):
    """Pools that nobody serves."""
    return [{"name": name, "listen": f"/nonexistent/{name}.sock", "max_children": 1} for name in pool_names(count)]


def write_json(path, value):
    path.write_text(json.dumps(value))
    return path
