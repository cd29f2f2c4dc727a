"""A node: a real PHP-FPM with svcreg.so loaded, and the fpm-health that it starts."""

import contextlib
import json
import os
import subprocess
from pathlib import Path

from .fpm import Fpm
from .waiting import until

ROOT = Path(__file__).resolve().parents[2]
SO = os.environ.get("SVCREG_SO", str(ROOT / "modules" / "svcreg.so"))
HELPER = os.environ.get("SVCREG_HELPER", str(ROOT / "fpm-health" / "fpm-health"))

PAGE = """<?php
usleep(1000 * (int) ($_GET['ms'] ?? 0));
echo svcreg_node(), ' ', svcreg_pool(), ' ', getmypid();
"""


class Node(Fpm):
    """`with Node(directory, "n1", consul) as node:`; `consul=None` is svcreg.consul=off. Services are NAME-POOL."""

    def __init__(self, directory, name, consul, pools=None, ini=None, **more):
        self.name = name
        self.consul = consul
        self.run_dir = Path(directory) / "run"
        self.instance = "fpm"
        pools = {
            p: {"php_admin_value[svcreg.service]": f"{name}-{p}"} | own for p, own in (pools or {"web": {}}).items()
        }
        settings = {
            "extension": SO,
            "svcreg.helper": HELPER,
            "svcreg.run_dir": self.run_dir,
            "svcreg.node": name,
            "svcreg.instance": self.instance,
            "svcreg.consul": consul.url if consul else "off",
            "svcreg.health_listen": f"unix:{directory}/health.sock",
            **(ini or {}),
        }
        super().__init__(directory, pools, settings, **more)
        self.page = self.script("page.php", PAGE)

    @property
    def instance_dir(self):
        return self.run_dir / self.instance

    def config_json(self):
        """What the extension told its helper."""
        return json.loads((self.instance_dir / "config.json").read_text())

    def service(self, pool="web"):
        return f"{self.name}-{pool}"

    def service_id(self, pool="web"):
        return f"svcreg:{self.name}:{self.instance}:{pool}"

    def fpm_health(self, *arguments):
        """Runs the command line against this node's helper."""
        return subprocess.run(
            [HELPER, *arguments, "--run-dir", str(self.run_dir)], capture_output=True, text=True, timeout=30
        )

    def status(self):
        """`fpm-health status --json`, or None while no helper answers."""
        answer = self.fpm_health("status", "--json")
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def pool_status(self, pool="web"):
        status = self.status()
        return next(p for p in status["pools"] if p["name"] == pool) if status else {}

    def helper_pids(self):
        """Every living fpm-health of this node."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"{self.instance_dir}/config.json".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
        return found

    def helper_pid(self):
        """The pid of the only helper; waits while there is none, or while an old one goes."""
        return until(lambda: (p := self.helper_pids()) and len(p) == 1 and p[0], 3, "one helper")

    def wait_passing(self, pool="web", timeout=5):
        """Waits until the pool is passing in Consul; returns its entry."""
        return self.consul.wait_status(self.service(pool), "passing", timeout=timeout)[0]

    def wait_state(self, state, pool="web", timeout=5):
        """Waits until the helper says so."""
        until(lambda: self.pool_status(pool).get("state") == state, timeout, f"{pool} {state}")

    def lines(self, text):
        """The lines of everything that FPM and the helper logged which contain `text`."""
        everything = self.log_text() + (self.output.read_text(errors="replace") if self.output.exists() else "")
        return [line for line in everything.splitlines() if text in line]

    def kill(self):
        super().kill()
        for pid in self.helper_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
