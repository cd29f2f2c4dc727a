"""What a thousand services cost an agent at rest, by each way to keep their checks alive, barest sender beside ours."""

import resource
import socket
import statistics
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from support.consul import Consul
from support.cpu import cpu_s
from support.helper import Helper
from support.many_fpms import ManyFpms
from support.programs import compiled
from support.waiting import until

from . import servers
from .measure import spread
from .report import Section

TEXT = (Path(__file__).parent / "thousand.md").read_text().strip()

BEAT_S = 3
PULL_S = 3.5
TOGETHER = 64
PARALLEL = 16
BEATS = 4
SETTLED_S = 4


def register(agent, count, check):
    """Services, each with a check of its own: `check(number)`."""

    def send(number):
        service = {"ID": f"p{number}", "Name": f"p{number}", "Check": {"CheckID": f"p{number}:c", **check(number)}}
        agent.put("/v1/agent/service/register", service)

    with ThreadPoolExecutor(PARALLEL) as threads:
        list(threads.map(send, range(count)))


def used(pid, work):
    """Share of a core that a process used while `work()` ran, in %."""
    before, begin = cpu_s(pid), time.monotonic()
    work()
    return 100 * (cpu_s(pid) - before) / (time.monotonic() - begin)


@contextmanager
def fresh(directory, name):
    with Consul(servers.folder_in(directory, name), "-log-level=info") as agent:
        yield agent


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def told(directory, count, rounds, groups):
    """The agent's share at rest, the agent's while it is told, and the sender's."""
    beats = compiled(directory, "bare_beats", "-lcurl")
    with fresh(directory, f"told{groups}") as agent:
        register(agent, count, lambda _: {"TTL": "60s", "Status": "passing"})
        command = [beats, agent.url, PARALLEL, 1000 * BEAT_S, BEATS, groups]
        ids = "".join(f"p{number}:c\n" for number in range(count))
        time.sleep(SETTLED_S)
        rest = [used(agent.process.pid, lambda: time.sleep(BEAT_S)) for _ in range(rounds)]
        theirs, own = [], []
        for _ in range(rounds):
            before, begin = children_s(), time.monotonic()
            send = lambda: subprocess.run([*map(str, command)], input=ids, text=True, check=True)  # noqa: E731
            theirs.append(used(agent.process.pid, send))
            own.append(100 * (children_s() - before) / (time.monotonic() - begin))
        return rest, theirs, own


@contextmanager
def trivial_server():
    """Answers each connection alike."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:

        def serve():
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    if client.recv(4096):
                        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def pulled(directory, count, rounds, kind):
    with trivial_server() as port, fresh(directory, kind) as agent:
        target = f"http://127.0.0.1:{port}/" if kind == "HTTP" else f"127.0.0.1:{port}"
        register(agent, count, lambda _: {kind: target, "Interval": f"{PULL_S}s", "Timeout": "1s", "Status": "passing"})
        time.sleep(SETTLED_S)
        return [used(agent.process.pid, lambda: time.sleep(2 * PULL_S)) for _ in range(rounds)]


def aliased(directory, count, rounds):
    """At rest, and what one turn of the service that all are aliases of takes: CPU seconds, seconds."""
    with fresh(directory, "alias") as agent:
        agent.wait_synced()
        heart = {"ID": "heart", "Name": "heart", "Check": {"CheckID": "heart:c", "TTL": "60s", "Status": "passing"}}
        agent.put("/v1/agent/service/register", heart)
        register(agent, count, lambda _: {"AliasService": "heart"})
        passing = lambda: len(agent.get("/v1/health/state/passing")) > count  # noqa: E731
        until(passing, 120, "all pass", every=0.5)
        time.sleep(SETTLED_S)
        rest = [used(agent.process.pid, lambda: time.sleep(2 * PULL_S)) for _ in range(rounds)]
        before, begin = cpu_s(agent.process.pid), time.monotonic()
        agent.put("/v1/agent/check/fail/heart:c")
        until(lambda: len(agent.get("/v1/health/state/critical")) > count, 120, "all are critical", every=0.25)
        return rest, cpu_s(agent.process.pid) - before, time.monotonic() - begin


def ours(directory, count, rounds):
    """Agent's and helper's share; all pools stand for themselves."""
    folder = servers.folder_in(directory, "ours")
    with fresh(directory, "agent") as agent, ManyFpms(folder, count) as pools:
        with Helper(folder, pools.config, node="many", consul={"url": agent.url}, log_level="warning") as helper:
            until(lambda: all(p["registered"] for p in helper.status()["pools"]), 120, "all are registered", every=0.1)
            time.sleep(2 * SETTLED_S)
            pairs = []
            for _ in range(rounds):
                before, begin = cpu_s(helper.process.pid), time.monotonic()
                theirs = used(agent.process.pid, lambda: time.sleep(2 * BEAT_S))
                own = 100 * (cpu_s(helper.process.pid) - before) / (time.monotonic() - begin)
                pairs.append((theirs, own))
            return zip(*pairs, strict=True)


def thousand(options, directory):
    count, rounds = (200 if options.quick else 1000), options.rounds
    groups = 1 + count // TOGETHER
    title = "A thousand pools" if count == 1000 else f"A thousand pools (here {count})"
    section = Section(title, TEXT, ["", "agent, % of a core", "sender, % of a core", ""])
    rest, *together = told(directory, count, rounds, groups)
    _, *single = told(directory, count, rounds, count)
    section.rows.append(["registered, nothing is told", spread(rest), "", ""])
    for how, shares in (("in groups", together), ("one by one", single)):
        section.rows.append([f"TTL checks, bare libcurl, every {BEAT_S} s, {how}", *map(spread, shares), ""])
    for kind in ("HTTP", "TCP"):
        shares = pulled(directory, count, rounds, kind)
        section.rows.append([f"{kind} checks, every {PULL_S} s", spread(shares), "", ""])
    resting, cpu, took = aliased(directory, count, rounds)
    turn = f"one turn: {cpu:.1f} CPU s, {took:.1f} s until all have turned"
    section.rows.append(["alias checks of one service", spread(resting), "", turn])
    theirs, own = ours(directory, count, rounds)
    section.rows.append(["fpm-health", spread(theirs), spread(own), ""])
    if count == 1000:
        section.at_most("helper, % of a core", statistics.median(own), 1)
        section.at_most("helper and agent, % of a core", statistics.median(theirs) + statistics.median(own), 5)
    return section
