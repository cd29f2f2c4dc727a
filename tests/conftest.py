"""Beside each failure: what the machine did meanwhile. A bound on time that broke without one is known by that."""

import os
import re
import time
from pathlib import Path

import pytest
from support.standstill import WATCH

PRESSURE = {"cpu": "some", "io": "full"}  # the kernel's words: some task waited for a processor, all of them for a disk


class Meanwhile:
    """What was taken from this machine since: by its host, by what else runs on it, by its disks. In seconds."""

    def __init__(self):
        self.before = self.now()

    @staticmethod
    def now():
        stolen = int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
        now = {"clock": time.monotonic(), "stood still": WATCH.seconds(), "stolen by the host": stolen}
        for name, whom in PRESSURE.items():
            file = Path("/proc/pressure") / name
            if file.exists():
                now[f"pressure {name} {whom}"] = int(re.search(rf"{whom} .*total=(\d+)", file.read_text())[1]) / 1e6
        return now

    def __str__(self):
        return ", ".join(f"{name} {value - self.before[name]:.2f} s" for name, value in self.now().items())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    item.meanwhile = Meanwhile()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.failed:
        report.sections.append(("Machine meanwhile", str(item.meanwhile)))
        item.user_properties.append(("meanwhile", str(item.meanwhile)))
