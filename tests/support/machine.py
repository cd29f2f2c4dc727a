"""What a figure depends on: the machine that it was measured on."""

import os
import platform
import re
from pathlib import Path


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = model[1] if model else platform.machine()
    return f"{os.cpu_count()} CPUs ({cpu}), {memory_gb:.0f} GB, Linux {platform.release()}"
