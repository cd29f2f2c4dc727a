"""Debian's php8.4-fpm.service with svcreg, and where a test wants it our drop-in."""

import itertools
import shutil
import subprocess
from pathlib import Path

from support.load import Load
from support.waiting import until

UNIT = "php8.4-fpm.service"
ROOT = Path(__file__).resolve().parents[2]
DROP_IN = Path(f"/etc/systemd/system/{UNIT}.d/svcreg.conf")
FPM_FOLDER = Path("/etc/php/8.4/fpm")
SOCKET = "/run/php/php8.4-fpm.sock"
numbers = itertools.count(1)


def systemctl(*arguments):
    answer = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=120)
    assert answer.returncode == 0, answer.stderr + answer.stdout
    return answer.stdout


class Unit:
    """The unit, started under a node name that no other test has; stopped and reset when the test is over."""

    def __init__(self, directory, consul, drop_in):
        self.consul = consul
        self.service = f"www-{next(numbers)}"
        self.log = directory / "svcreg.log"
        self.page = directory / "page.php"
        self.page.write_text("<?php usleep(1000 * (int) ($_GET['ms'] ?? 0)); echo svcreg_pool();")
        self.begin = subprocess.run(["date", "+%s.%N"], capture_output=True, text=True, check=True).stdout.strip()
        settings = f"extension=svcreg.so\nsvcreg.consul={consul.url}\nsvcreg.service={self.service}\nsvcreg.node=n\n"
        (FPM_FOLDER / "conf.d/30-svcreg.ini").write_text(settings)
        (FPM_FOLDER / "pool.d/global.conf").write_text("[global]\nprocess_control_timeout = 30s\n")
        DROP_IN.parent.mkdir(exist_ok=True)
        DROP_IN.unlink(missing_ok=True)
        if drop_in:
            shutil.copy(ROOT / "docs/systemd/php-fpm.service.d/svcreg.conf", DROP_IN)
        systemctl("daemon-reload")

    def start(self):
        systemctl("start", UNIT)
        return self.consul.wait_status(self.service, "passing")[0]

    def shown(self, name):
        return systemctl("show", "--value", "-p", name, UNIT).strip()

    @property
    def pid(self):
        return int(self.shown("MainPID"))

    def processes(self):
        """Of the unit's cgroup: everything that FPM started."""
        path = Path(f"/sys/fs/cgroup{self.shown('ControlGroup')}/cgroup.procs")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def helper(self):
        """The only fpm-health of the unit."""

        def only():
            found = [pid for pid in self.processes() if Path(f"/proc/{pid}/comm").read_text() == "fpm-health\n"]
            return found[0] if len(found) == 1 else None

        return until(only, 3, "one helper")

    def journal(self):
        return subprocess.run(
            ["journalctl", "-u", UNIT, f"--since=@{self.begin}", "-o", "cat"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    def load(self, ms=300):
        """More clients than the unit has workers, each with one request after the other."""
        return Load(SOCKET, str(self.page), 8, f"ms={ms}", b"www")
