"""Time as it passes for those who take part: what else the machine has to do is not theirs."""

import contextlib
import time
from pathlib import Path

from .standstill import WATCH

SELF = "thread-self"  # as /proc names who asks


def _in_line_ns(pid):
    """How long each thread has been ready to run without a processor."""
    waited = {}
    for thread in [Path(f"/proc/{SELF}")] if pid == SELF else Path(f"/proc/{pid}/task").glob("*"):
        with contextlib.suppress(OSError):
            waited[thread] = int((thread / "schedstat").read_text().split()[1])
    return waited


class Stopwatch:
    """
    Runs from when it is made. `clock_s()` is the time since; `seconds()` is that, less what the processes of `pids`
    stood in line for a processor, and those of `younger`, which have begun since, or the machine stood still. They have
    to act one after the other: SELF is one of them where this thread asks and is answered, and not where it looks again
    and again.
    """

    def __init__(self, *pids):
        self.before = {pid: _in_line_ns(pid) for pid in pids}
        self.still_s = WATCH.seconds()
        self.begin = time.perf_counter()

    def clock_s(self):
        return time.perf_counter() - self.begin

    def seconds(self, *younger):
        took, in_line_ns = self.clock_s(), 0
        for pid, before in (self.before | {pid: {} for pid in younger}).items():
            in_line_ns += max((ns - before.get(thread, 0) for thread, ns in _in_line_ns(pid).items()), default=0)
        return max(0.0, took - max(in_line_ns / 1e9, WATCH.seconds() - self.still_s))


def least(attempt, within, rounds=5):
    """
    The least that `attempt()` returns in some rounds, of which there are no more than it takes: whatever else the
    machine does can only add to each.
    """
    found = []
    while len(found) < rounds and not (found and found[-1] <= within):
        found.append(attempt())
    return min(found)
