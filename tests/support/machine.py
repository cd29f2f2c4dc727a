"""What a figure depends on: the machine that it was measured on."""

import os
import platform
import re
from pathlib import Path

MELTDOWN = Path("/sys/devices/system/cpu/vulnerabilities/meltdown")


def machine():
    """Its kernel's page-table isolation is named where it is on: it makes a system call several times as dear."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = model[1] if model else platform.machine()
    isolated = ", with page-table isolation" if MELTDOWN.exists() and "PTI" in MELTDOWN.read_text() else ""
    return f"{os.cpu_count()} CPUs ({cpu}), {memory_gb:.0f} GB, Linux {platform.release()}{isolated}"
