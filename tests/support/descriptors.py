"""What a process has open."""

import contextlib
import os
import re
from collections import Counter


def opened(pid):
    """What a process has open, as /proc names it."""
    names = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
    return names


def kinds(pid, *ignored):
    """How many of what a process has open, without the numbers that differ from one open to the next."""
    names = (re.sub(r"\[\d+\]|ZendSem\.\w+|/fpm\.(out|log)|/proc/\d+/task/\d+", "", name) for name in opened(pid))
    return Counter(name for name in names if name not in ignored)
