"""Numbers out of /proc, and how rounds of them are told."""

import os
import re
import signal
import statistics
import subprocess
from pathlib import Path

from support.waiting import until

SERVER_CORE, GENERATOR_CORE = 0, max(os.sched_getaffinity(0))


def pinned(core, command):
    return ["taskset", "-c", str(core), *map(str, command)]


SYSCALL = b"\x0f\x05"  # the instruction, of x86-64
SAMPLES_S = 9999  # the kernel's own are 100 a second: too few for parts of a microsecond


def user_shares(pid, directory, work):
    """
    Runs `work()` and returns which part of the process's CPU was outside the kernel, which part of it was not even at
    the place that a system call returns to – there a sampler finds whoever is on the way out of the kernel –, and what
    `work` returned.
    """
    data = directory / "perf.data"
    command = ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(SAMPLES_S), "-o", data, "-p", str(pid)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampler:
        until(lambda: data.exists() and data.stat().st_size, 5, "perf samples")
        try:
            result = work()
        finally:
            sampler.send_signal(signal.SIGINT)
    told = subprocess.run(["perf", "script", "-i", data, "-F", "ip"], check=True, capture_output=True, text=True).stdout
    places = [int(place, 16) for place in told.split()]
    data.unlink()
    outside = [place for place in places if place < 1 << 63]
    with Path(f"/proc/{pid}/mem").open("rb") as memory:
        returns = {place for place in set(outside) if os.pread(memory.fileno(), 2, place - 2) == SYSCALL}
    return len(outside) / len(places), sum(place not in returns for place in outside) / len(places), result


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


def spread(values, middle=statistics.median):
    """`median (min–max)` of some rounds."""
    values = list(values)
    if len(values) == 1:
        return brief(values[0])
    return f"{brief(middle(values))} ({brief(min(values))}–{brief(max(values))})"
