"""How soon Consul knows: a start, a change of state, many pools."""

import statistics
import subprocess
import threading
import time
import urllib.parse
from pathlib import Path

from support import board as boards
from support.board import Board
from support.consul import Consul
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import until
from support.wire import percentile

from . import servers
from .measure import brief, spread
from .report import Section

OWN = "svcreg"  # the service of the helper itself
ALONE, SAME = "bare libcurl, TTL checks alone", "bare libcurl, the same registrations"


def told(values):
    ordered = [1000 * value for value in values]
    return [len(ordered), *(brief(f(ordered)) for f in (min, statistics.median)), brief(percentile(ordered, 0.99)),
            brief(max(ordered))]  # fmt: skip


def start(options, directory, agent):
    """Seconds from FPM's first LISTEN to passing, of fresh pools one after another."""
    took = []
    for number in range(10 if options.quick else 50):
        folder = servers.folder_in(directory, f"start{number}")
        name, fpm = f"start{number}", Fpm(folder)
        pools = [{"name": "web", "listen": fpm.listen(), "service": name, "max_children": 2}]
        with Helper(folder, pools, node=name, consul={"url": agent.url}):
            agent.wait_status(name, "critical")
            fpm.start(wait=False)
            until(lambda fpm=fpm: fpm.listen() in Path("/proc/net/unix").read_text(), every=0.0005)
            begin = time.monotonic()
            agent.wait_status(name, "passing")
            took.append(time.monotonic() - begin)
            fpm.kill()
    return took


def change(options, directory, agent):
    """
    Seconds from a change written to the board to the return of a blocking query that shows it; and, in turn, from the
    request of a client that changes a check of its own.
    """
    folder, ours, direct = servers.folder_in(directory, "change"), [], []
    check = {"CheckID": "direct:ttl", "TTL": "1h", "Status": "passing"}
    agent.put("/v1/agent/service/register", {"ID": "direct", "Name": "direct", "Check": check})
    with Fpm(folder) as fpm:
        board = Board({"web": 2})
        board.set_master(fpm.pid)
        pools = [{"name": "web", "listen": fpm.listen(), "service": "change", "max_children": 2}]
        master = {"pid": fpm.pid, "start_time": boards.start_time(fpm.pid)}
        with Helper(folder, pools, board, node="change", consul={"url": agent.url}, master=master):
            agent.wait_status("change", "passing")
            agent.wait_status("direct", "passing")
            for number in range(40 if options.quick else 200):
                hold, wanted = ((boards.HOLD_UNREADY, "critical"), (boards.HOLD_READY, "passing"))[number % 2]
                with Blocked(agent, "change", wanted) as waiting:
                    board.pool().hold = hold
                    board.ring()
                ours.append(waiting.took)
                with Blocked(agent, "direct", wanted) as waiting:
                    agent.put(f"/v1/agent/check/update/{check['CheckID']}", {"Status": wanted})
                direct.append(waiting.took)
        board.close()
    return ours, direct


class Blocked:
    """
    `with Blocked(agent, service, wanted) as waiting: …`: a blocking query waits at the agent already, until `wanted` is
    what it returns; `took` seconds from the block's begin.
    """

    def __init__(self, agent, service, wanted):
        self.agent, self.service, self.wanted = agent, service, wanted
        self.path = f"/v1/health/service/{urllib.parse.quote(service)}"
        self.at = self.took = None

    def __enter__(self):
        _, self.index = self.agent.request("GET", self.path)
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()
        time.sleep(0.03)  # the query is at the agent by then; nothing announces that
        self.begin = time.monotonic()
        return self

    def __exit__(self, *_):
        self.thread.join(10)
        assert self.at, f"{self.service} is not {self.wanted}"
        self.took = self.at - self.begin

    def _wait(self):
        while self.at is None:
            entries, self.index = self.agent.request("GET", f"{self.path}?index={self.index}&wait=5s")
            statuses = [c["Status"] for entry in entries for c in entry["Checks"] if c["CheckID"].endswith(":ttl")]
            if statuses == [self.wanted]:
                self.at = time.monotonic()


def seconds_of_curl(directory, name, services, more):
    """libcurl's own tool registers them with an empty agent, `svcreg` first; `more(id)` goes beside each TTL check."""
    folder, lines = servers.folder_in(directory, name), []
    with Consul(folder) as agent:
        for i, service in enumerate(sorted(services, key=lambda s: s["Service"] != OWN)):
            body = servers.write_json(folder / f"body{i}", {
                "ID": service["ID"], "Name": service["Service"], "Port": service["Port"], "Meta": service["Meta"],
                "Check": {"CheckID": f"{service['ID']}:ttl", "TTL": "10s", "Status": "passing"},
                **(more(service["ID"]) if service["Service"] != OWN else {}),
            })  # fmt: skip
            lines += [f"url = {agent.url}/v1/agent/service/register", "request = PUT", f'data-binary = "@{body}"',
                      f"output = {folder}/answer", "next"]  # fmt: skip
        config = folder / "curl.conf"
        config.write_text("\n".join(lines[:-1]))
        begin = time.monotonic()
        subprocess.run(["curl", "-sfZ", "--parallel-max", "16", "-K", config], check=True, stderr=subprocess.DEVNULL)
        until(lambda: len(agent.services()) >= len(services), 60, "all are registered", every=0.02)
        return time.monotonic() - begin


def alias_of(own):
    return lambda id: {"Checks": [{"CheckID": f"{id}:helper", "AliasService": own, "Status": "passing"}]}


def register(options, directory):
    """-> who: seconds until an agent that knows nothing lists so many services; 16 requests at a time, as we."""
    count, took = (200 if options.quick else 1000), {ALONE: [], SAME: [], "fpm-health": []}
    for number in range(2 if options.quick else 3):
        with Consul(servers.folder_in(directory, f"agent{number}")) as agent:
            folder = servers.folder_in(directory, f"register{number}")
            begin = time.monotonic()
            with Helper(folder, servers.listed(count), node="many", consul={"url": agent.url}) as helper:
                until(lambda a=agent: len(a.services()) > count, 120, "all are registered", every=0.02)
                took["fpm-health"].append(time.monotonic() - begin)
                until(lambda h=helper: all(p["registered"] for p in h.status()["pools"]), 60, "confirmed", every=0.1)
                services = list(agent.services().values())
        own = next(s["ID"] for s in services if s["Service"] == OWN)
        for who, more in ((ALONE, lambda _: {}), (SAME, alias_of(own))):
            took[who].append(seconds_of_curl(directory, f"{who} {number}".replace(" ", "-"), services, more))
    return count, took


def registry(options, directory):
    section = Section(
        "Consul",
        "A real agent on the same machine. *Start*: FPM's socket listens → passing. *Change*: `svcreg_unready()` and "
        "back, as it arrives in the board → a blocking query that waits at the agent returns with it; in turn with "
        "what Consul needs by itself, for a check that a client changes with a request to the agent.",
        ["", "runs", "min ms", "median ms", "p99 ms", "max ms"],
    )
    with Consul(servers.folder_in(directory, "consul")) as agent:
        starts = start(options, directory, agent)
        changes, direct = change(options, directory, agent)
    section.rows.append(["first LISTEN → passing", *told(starts)])
    section.rows.append(["change of state → blocking query returns", *told(changes)])
    section.rows.append(["the same without svcreg: a client's own request", *told(direct)])
    section.at_most("first LISTEN → passing, max ms", 1000 * max(starts), 100)
    section.at_most("change → blocking query, p99 ms", 1000 * percentile(changes, 0.99), 20)
    return section


def many(options, directory):
    count, took = register(options, directory)
    section = Section(
        f"Registering {count:,} pools",
        "From the start of the process until an empty agent lists all of them. libcurl's own tool registers the same "
        "services, 16 at a time as fpm-health does, and nothing else: with a TTL check alone, and as fpm-health does, "
        "with the alias check by which many pools share a heartbeat. What that costs is the agent's: it lists all.",
        ["", "s", "ratio"],
    )
    for who, seconds in took.items():
        ratios = [mine / same for mine, same in zip(seconds, took[SAME], strict=True)]
        section.rows.append([who, spread(seconds), spread(ratios)])
    return section
