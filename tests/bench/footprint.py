"""What fpm-health takes while nobody asks: CPU, wake-ups, memory; by pools and by workers."""

import statistics
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass

from support.consul import Consul
from support.cpu import cpu_s
from support.memory import memory_kb
from support.node import Node
from support.programs import compiled
from support.waiting import until

from . import servers
from .measure import SERVER_CORE, brief, pinned, spread, wakeups
from .report import Plot, Section

WAKE_MS, WAKES = 500, 1000
SETTLED_S = 4  # start-up is over, and its memory given back
WATCHED_S = 10
MANY, TURN_S = 20, 60  # more pools than that are told to Consul once in so long: the mean of a whole turn counts
ALONE, REGISTERED, WORKERS = KINDS = ("pools, Consul off", "pools, registered", "workers")


@dataclass
class Helped:
    name: str
    pid: int


def watched(server, rounds, seconds):
    """[(wake-ups a second, CPU in % of a core)], a round each."""
    found = []
    for _ in range(rounds):
        woken, used, at = wakeups(server.pid), cpu_s(server.pid), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - at
        cpu = 100 * (cpu_s(server.pid) - used) / took
        found.append(((wakeups(server.pid) - woken) / took, cpu))
    return found


def idle(options, directory):
    """Pools from 1 to 1,000, with Consul and without; then workers from 1 to 1,000 of one pool."""
    section = Section(
        "Idle, and memory",
        "Nobody asks, no request runs; FPM is real, one worker a pool (or one pool with so many workers). Wake-ups are "
        "voluntary context switches. USS is what would be free without the process, PSS its share of what it has "
        "mapped in. More than 20 registered pools are told to Consul once a minute: the mean of one is given.",
        ["", "wake-ups/s", "CPU, % of a core", "USS MB", "PSS MB"],
    )
    counts = (1, 10, 100) if options.quick else (1, 10, 100, 1000)
    seconds, rounds = (5, 1) if options.quick else (WATCHED_S, 3)
    plots = {name: {kind: [] for kind in KINDS} for name in ("cpu", "uss")}
    with Consul(servers.folder_in(directory, "consul"), "-log-level=info") as agent:
        for count in counts:
            for kind, server in each_kind(directory, count, agent):
                time.sleep(SETTLED_S)
                middle = statistics.median
                if kind == REGISTERED and count > MANY and not options.quick:
                    watched(server, 1, TURN_S)  # the agent still has work with the registrations
                    rows, middle = watched(server, rounds, TURN_S / rounds), statistics.mean
                else:
                    rows = watched(server, rounds, seconds)
                columns = list(zip(*rows, strict=True))
                woken, cpu = map(middle, columns)
                uss, pss = (kb / 1024 for kb in memory_kb(server.pid)[:2])
                name = f"{count:,} {kind if count > 1 else kind.replace('s', '', 1)}"
                spreads = (spread(column, middle) for column in columns)
                section.rows.append([name, *spreads, f"{uss:.2f}", f"{pss:.2f}"])
                plots["cpu"][kind].append((count, cpu))
                plots["uss"][kind].append((count, uss))
                judge(section, kind, count, woken, cpu, uss)
    for start in (servers.haproxy, servers.nginx, bare_wakes):
        with start(directory) as server:
            [row] = watched(server, 1, seconds)
            section.rows.append(
                [server.name, *map(brief, row), *(f"{kb / 1024:.2f}" for kb in memory_kb(server.pid)[:2])]
            )
    section.plots.append(Plot("idle-cpu", "Idle CPU", "% of a core", plots["cpu"]))
    section.plots.append(Plot("memory", "Private memory (USS)", "MB", plots["uss"]))
    return section


@contextmanager
def bare_wakes(directory):
    """Wakes as often as an idle fpm-health, and does nothing: what this machine takes for that alone."""
    command = pinned(SERVER_CORE, [compiled(directory, "bare_wakes"), WAKE_MS, WAKES])
    with subprocess.Popen([*map(str, command)]) as process:
        try:
            yield Helped("a process that only sleeps and wakes", process.pid)
        finally:
            process.kill()


def each_kind(directory, count, agent):
    """
    fpm-health with so many of each kind, one after another: stand-alone for pools, started by the extension for the
    workers of one pool. Nothing else of ours runs then: the kernel's list of sockets is the whole machine's.
    """
    folder = servers.folder_in(directory, f"pools-{count}")
    with servers.fpm_with(folder, count) as (fpm, listed):
        for kind, url in ((ALONE, "off"), (REGISTERED, agent.url)):
            more = {"consul": {"url": url}, "node": f"bench{count}", "master": {"pid": fpm.pid}}
            with servers.fpm_health(folder / f"ours-{url[:3]}", listed, kind, **more) as server:
                if kind == REGISTERED:
                    until(
                        lambda h=server.helper: all(pool["registered"] for pool in h.status()["pools"]), 120, "all", 0.1
                    )
                yield kind, server
    own = {"web": {"pm.max_children": count}}
    with servers.forked(Node(servers.folder_in(directory, f"workers-{count}"), "w", None, own)) as node:
        until(lambda: len(node.workers()) == count, servers.FORKS_S, "all workers", every=0.5)
        node.wait_state("healthy")
        yield WORKERS, Helped(WORKERS, node.helper_pid())


def judge(section, kind, count, woken, cpu, uss):
    if (kind, count) == (ALONE, 10):
        section.at_most("wake-ups/s, 10 pools, Consul off", woken, 5)
        section.at_most("CPU %, 10 pools, Consul off", cpu, 0.1)
        section.at_most("USS MB, 10 pools", uss, 4)
    elif (kind, count) == (REGISTERED, 1000):
        section.at_most("CPU %, 1,000 pools registered", cpu, 1)
        section.at_most("USS MB, 1,000 pools registered", uss, 16)
