"""Numbers out of /proc, and how rounds of them are told."""

import os
import re
import signal
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS_S = os.sysconf("SC_CLK_TCK")
SERVER_CORE, GENERATOR_CORE = 0, max(os.sched_getaffinity(0))


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


@dataclass
class Cpu:
    """Seconds of a process so far: all of it to the nanosecond, and its user part as the kernel's ticks sample it."""

    total: float
    user: float

    @classmethod
    def of(cls, pid):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total = int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
        return cls(total, int(fields[11]) / TICKS_S)

    def __sub__(self, before):
        return Cpu(self.total - before.total, self.user - before.user)


def wakeups(pid):
    """How often a process has gone to sleep so far: each time something woke it."""
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def system_calls(pid, work):
    """Runs `work()` and returns how many system calls the process made, by name, and what `work` returned."""
    tracer = subprocess.Popen(["strace", "-c", "-p", str(pid)], stderr=subprocess.PIPE, text=True)
    assert "attached" in tracer.stderr.readline()
    try:
        result = work()
    finally:
        tracer.send_signal(signal.SIGINT)
        table = tracer.communicate(timeout=30)[0 + 1]
    rows = re.findall(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", table, re.M)
    return {name: int(calls) for calls, name in rows if name != "total"}, result


EMPTY_CALLS = """
#include <sys/syscall.h>
#include <unistd.h>
int main(void) { for (int i = 0; i < 5000000; i++) syscall(SYS_getppid); }
"""


def empty_call_ns(directory):
    """CPU time of a system call that does nothing: what saving one would save."""
    program = directory / "calls"
    subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", program], input=EMPTY_CALLS, text=True, check=True)
    before = os.times()
    subprocess.run(pinned(SERVER_CORE, [program]), check=True)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used / 5_000_000 * 1e9


def brief(value):
    """Three digits that matter."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread(values):
    """`median (min–max)` of some rounds."""
    values = list(values)
    if len(values) == 1:
        return brief(values[0])
    return f"{brief(statistics.median(values))} ({brief(min(values))}–{brief(max(values))})"
