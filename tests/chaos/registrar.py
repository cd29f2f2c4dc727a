"""A stand-in for Registrator: what starts is registered, what died is deregistered; no check, no drain."""

import http.client
import json
import subprocess
import threading

from lab import docker, inspect

PORT = 9000


class Registrar:
    def __init__(self, project, consul):
        self.consul = consul
        filters = [
            "label=com.docker.compose.service=web",
            f"label=com.docker.compose.project={project}",
            "event=start",
            "event=die",
        ]
        words = [word for text in filters for word in ("--filter", text)]
        self.events = subprocess.Popen(
            ["docker", "events", *words, "--format", "{{.Status}} {{.ID}}"], stdout=subprocess.PIPE, text=True
        )
        for container in docker("ps", "-q", "--no-trunc", *words[:4]).split():
            self.started(container)
        self.thread = threading.Thread(target=self.follow, daemon=True)
        self.thread.start()

    def follow(self):
        for line in self.events.stdout:
            event, container = line.split()
            (self.started if event == "start" else self.died)(container)

    def started(self, container):
        (found,) = inspect([container])
        entry = {"ID": self.id_of(container), "Name": "web", "Address": found.address, "Port": PORT}
        self.put("/v1/agent/service/register", entry)

    def died(self, container):
        self.put(f"/v1/agent/service/deregister/{self.id_of(container)}")

    def id_of(self, container):
        return f"registrator:{container[:12]}:{PORT}"

    def put(self, path, body=None):
        connection = http.client.HTTPConnection(self.consul, 8500, timeout=5)
        try:
            connection.request("PUT", path, json.dumps(body) if body else None)
            connection.getresponse().read()
        except OSError as error:
            print(f"registrar: {path}: {error}", flush=True)
        finally:
            connection.close()

    def stop(self):
        self.events.terminate()
        self.events.wait(10)
        self.thread.join(10)
        self.events.stdout.close()
