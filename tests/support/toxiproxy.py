"""A toxiproxy between the helper and a real Consul: what a bad network does, on demand."""

import json
import subprocess
import urllib.request
from pathlib import Path

from .programs import program
from .waiting import free_ports, until


class Toxiproxy:
    """`with Toxiproxy(directory, consul.port) as proxy:` – `proxy.url` leads to that port, through its toxics."""

    def __init__(self, directory, upstream_port):
        self.log = Path(directory) / "toxiproxy.log"
        self.api_port, self.port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.upstream = f"127.0.0.1:{upstream_port}"
        self.process = None

    def __enter__(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [program("toxiproxy"), "-host", "127.0.0.1", "-port", str(self.api_port)], stdout=log, stderr=log
            )
        until(self._answers, what="toxiproxy answers")
        self._post("/proxies", {"name": "consul", "listen": f"127.0.0.1:{self.port}", "upstream": self.upstream})
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self._call("GET", "/version")
        except OSError:
            return None

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.api_port}{path}", data=data, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.read()

    def _post(self, path, body):
        return self._call("POST", path, body)

    def poison(self, kind, **attributes):
        """A toxic of that kind in both directions."""
        for stream in ("upstream", "downstream"):
            toxic = {"name": stream, "type": kind, "stream": stream, "attributes": attributes}
            self._post("/proxies/consul/toxics", toxic)

    def cut(self):
        """Refuses connections, and ends those there are."""
        self._post("/proxies/consul", {"enabled": False})

    def heal(self):
        """All toxics gone, and connections let through."""
        self._post("/reset", {})
