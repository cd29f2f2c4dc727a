"""A real PHP-FPM of the host, in the foreground, with pools of the test's own."""

import contextlib
import glob
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import pytest

from . import fcgi, sanitizers
from .processes import forks_no_more, kill
from .waiting import until

WAYS = ("-F", "-D", "PID 1")  # in the foreground, as a daemon, as the first process of a pid namespace (needs root)
BIN = os.environ.get("SVCREG_FPM_BINARY") or max(glob.glob("/usr/sbin/php-fpm[0-9]*"), default="")


def children(pid):
    """Pids of a process's children; none where it has gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Held:
    """`script` runs until `release()`: as long as a test needs its requests, however slow the machine is."""

    def __init__(self, fpm):
        self.gate = fpm.directory / "held.gate"
        self.gate.touch()
        self.script = fpm.script(
            "held.php", f"<?php while (file_exists('{self.gate}')) {{ usleep(5000); clearstatcache(); }}"
        )

    def release(self):
        self.gate.unlink(missing_ok=True)


class Fpm:
    """
    `with Fpm(directory, {"web": {"listen": "/…/web.sock"}}) as fpm:`

    `pools` maps a name to the lines of its section (defaults: static, 2 children, listen on <directory>/NAME.sock).
    `ini` becomes -d options, `options` more arguments, `top` lines of [global], `way` is one of WAYS.
    """

    def __init__(self, directory, pools=None, ini=None, options=(), top=None, environment=None, way="-F"):
        if not BIN:
            pytest.skip("no php-fpm on this machine")
        self.directory = Path(directory)
        self.pools = pools or {"web": {}}
        self.ini = dict(ini or {})
        self.options = list(options)
        self.top = dict(top or {})
        self.environment = environment
        self.way = way
        self.config = self.directory / "php-fpm.conf"
        self.log = self.directory / "fpm.log"
        self.output = self.directory / "fpm.out"
        self.pid_file = self.directory / "fpm.pid"
        self.process = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.kill()
            raise

    def __exit__(self, *_):
        self.kill()

    def listen(self, pool="web"):
        """The address of a pool."""
        return str(self.pools[pool].get("listen", self.directory / f"{pool}.sock"))

    def write_config(self):
        """Writes php-fpm.conf from `top` and `pools`, which a test may have changed."""
        top = {"error_log": self.log, "daemonize": "no", "log_level": "notice", **self.top}
        if self.way == "-D":
            top["pid"] = self.pid_file
        lines = ["[global]", *(f"{k} = {v}" for k, v in top.items())]
        for name, own in self.pools.items():
            section = {"listen": self.directory / f"{name}.sock", "pm": "static", "pm.max_children": 2}
            if os.geteuid() == 0:
                section |= {"user": "www-data", "group": "www-data", "listen.mode": "0666"}
            if sanitizers.REPORTS:
                section["catch_workers_output"] = "yes"
            lines += [f"[{name}]", *(f"{k} = {v}" for k, v in (section | own).items())]
        self.config.write_text("\n".join(lines) + "\n")

    def script(self, name, source):
        """Writes a PHP file that the pools can run; returns its path."""
        path = self.directory / name
        path.write_text(source)
        path.chmod(0o644)
        return str(path)

    def command(self):
        defines = [argument for k, v in self.ini.items() for argument in ("-d", f"{k}={v}")]
        first = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if self.way == "PID 1" else []
        return [*first, BIN, "-D" if self.way == "-D" else "-F", "-y", str(self.config), *defines, *self.options]

    def start(self, wait=True):
        """Writes the configuration, starts the master and waits for its line "ready to handle connections"."""
        self.write_config()
        before = self.log_text().count("ready to handle connections")
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=self.environment
            )
        if wait:
            self.wait_ready(before)
        return self

    def wait_ready(self, before=0, timeout=10):
        """Waits until FPM has said "ready" more than `before` times."""

        def ready():
            failed = self.process.poll() not in ((None, 0) if self.way == "-D" else (None,))
            assert not failed, self.output.read_text() + self.log_text()
            return self.log_text().count("ready to handle connections") > before

        until(ready, timeout, "FPM is ready")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def _master(self):
        """The master's pid, or None while there is none."""
        if self.way == "-F":
            return self.process.pid
        if self.way == "PID 1":
            return next(iter(children(self.process.pid)), None)
        with contextlib.suppress(OSError):
            pid = int(self.pid_file.read_text() or 0)
            if os.fsencode(self.config) in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    @property
    def pid(self):
        """The master's, as this process counts."""
        return until(self._master, what="FPM's master")

    def send_signal(self, number):
        os.kill(self.pid, number)

    def reload(self):
        """SIGUSR2, and waits until the new generation is ready."""
        before = self.log_text().count("ready to handle connections")
        self.send_signal(signal.SIGUSR2)
        self.wait_ready(before)

    def stop(self, number=signal.SIGQUIT, timeout=30):
        """Signals the master and waits for its end; returns its exit code, of a daemon that of its launcher."""
        ending = os.pidfd_open(self.pid)
        try:
            signal.pidfd_send_signal(ending, number)
            assert select.select([ending], [], [], timeout)[0], f"FPM has not ended within {timeout} s"
        finally:
            os.close(ending)
        return self.process.wait(timeout)

    def seconds_to_stop(self, number=signal.SIGQUIT):
        start = time.monotonic()
        assert self.stop(number) == 0
        return time.monotonic() - start

    def children(self):
        """Pids of the master's children."""
        return children(self._master())

    def workers(self, pool="web"):
        """Pids of a pool's workers, by their titles."""
        found = []
        for pid in self.children():
            try:
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
            except OSError:
                continue
            if title.rstrip(b"\0 ").endswith(f"pool {pool}".encode()):
                found.append(pid)
        return found

    def kill(self):
        """Ends whatever is left of it, orphans too."""
        if not self.process:
            return
        master = self._master() if self.way == "-D" or self.process.poll() is None else None
        left = []
        if master:
            with contextlib.suppress(ProcessLookupError):
                os.kill(master, signal.SIGSTOP)
            until(lambda: forks_no_more(master), what="the master stands still")
            left = [*children(master), master]
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        kill(*left)

    def request(self, script, query="", pool="web", **more):
        """One FastCGI request to a pool; see support.fcgi.request()."""
        return fcgi.request(self.listen(pool), script, query, **more)
