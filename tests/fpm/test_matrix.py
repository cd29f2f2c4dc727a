"""Every way FPM starts × every kind of pool × everything that can happen to it: registered, judged and cleaned up."""

import itertools
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support import sanitizers
from support.clock import Stopwatch
from support.consul import our_check
from support.descriptors import kinds, opened
from support.fpm import WAYS
from support.processes import kill
from support.waiting import free_port, until

MANAGERS = ("static", "dynamic", "ondemand")
SOCKETS = ("unix", "TCP", "IPv6")
EVENTS = ("USR2", "KILL worker", "KILL helper", "QUIT", "TERM", "KILL master")
ENDS = EVENTS[3:]
SLOW_S = 15  # for what has no promise of its own, on a machine that does other things too


@pytest.fixture(scope="module")
def table(request):
    """Collects a mark for every cell and prints the whole when the last test has run."""
    marks = {}
    yield marks
    lines = [f"\n{'':20}" + "".join(f"{event:>13}" for event in EVENTS)]
    for row in itertools.product(WAYS, MANAGERS, SOCKETS):
        lines.append(f"{' '.join(row):20}" + "".join(f"{marks.get((*row, event), '-'):>13}" for event in EVENTS))
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print("\n".join(lines))


def masters(n):
    """What the master has open. Where workers' output is caught, a pipe to each comes and goes with it."""
    return kinds(n.pid, *(["pipe:"] if sanitizers.REPORTS else []))


def inherited_sockets(n):
    """Sockets that master and helper share, such as the pools': there may be none."""
    return {name for name in opened(n.pid) if name.startswith("socket:")} & set(opened(n.helper_pid()))


def make(node, way, pm, socket):
    port = free_port()
    listen = {"unix": {}, "TCP": {"listen": f"127.0.0.1:{port}"}, "IPv6": {"listen": f"[::1]:{port}"}}[socket]
    spare = {"pm.start_servers": 1, "pm.min_spare_servers": 1, "pm.max_spare_servers": 2}
    return node(pools={"web": {"pm": pm} | spare | listen}, top={"process_control_timeout": "10s"}, way=way)


def served(n):
    """A request's answer is right; returns all workers that there are then."""
    assert n.request(n.page, timeout=SLOW_S).body.startswith(f"{n.name} web".encode())
    return until(n.workers, SLOW_S, "a worker")


class Registration:
    """What must not change while FPM lives: one entry of Consul's, never left out since it was made."""

    def __init__(self, n):
        self.n = n
        self.made = self.index(n.wait_passing(timeout=SLOW_S))

    @staticmethod
    def index(entry):
        return entry["Service"]["ID"], entry["Service"]["CreateIndex"]

    def holds(self):
        """The same entry is passing, and the helper says why."""
        entry = self.n.wait_passing(timeout=SLOW_S)
        assert self.index(entry) == self.made, "registered anew"
        assert our_check(entry)["Output"].startswith("healthy")
        self.n.wait_state("healthy", timeout=SLOW_S)


def reload(n, registered):
    helper = n.helper_pid()
    before = (masters(n), kinds(helper, "socket:"))  # its connections to Consul come and go
    n.reload()
    until(lambda: (s := n.status()) and s["generation"] == 2, SLOW_S, "the helper takes the reload over")
    served(n)
    registered.holds()
    assert n.helper_pid() == helper
    until(lambda: not masters(n) - before[0], SLOW_S, "the master's descriptors are as they were")
    until(lambda: kinds(helper, "socket:") == before[1], SLOW_S, "the helper's descriptors are as they were")


def kill_worker(n, registered):
    victim = served(n)[0]
    before = masters(n)
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in n.workers(), SLOW_S, "the worker has gone")
    served(n)
    until(lambda: n.pool_status()["workers"]["active"] == 0, SLOW_S, "nobody counted as busy")
    registered.holds()
    until(lambda: not masters(n) - before, SLOW_S, "the master's descriptors are as they were")


def kill_helper(n, registered):
    old = n.helper_pid()
    before = (masters(n), kinds(old, "socket:"))
    os.kill(old, signal.SIGKILL)
    new = until(lambda: (p := n.helper_pids()) and p != [old] and len(p) == 1 and p[0], SLOW_S, "a new helper")
    until(n.status, SLOW_S, "it answers")
    served(n)
    registered.holds()
    until(lambda: masters(n) == before[0], SLOW_S, "the master's descriptors are as they were")
    until(lambda: kinds(new, "socket:") == before[1], SLOW_S, "the new helper has open what the old one had")
    assert not inherited_sockets(n) and not n.lines("unknown child")


def end(n, event):
    """Ends the master; nothing of it may be left, in Consul or among the processes."""
    registered = Registration(n)
    workers, helper, master = served(n), n.helper_pid(), n.pid
    n.wait_state("healthy", timeout=SLOW_S)
    if event == "KILL master":
        workers = n.children()  # one that was just forked, beside the request's, has no title yet
        watch = Stopwatch(helper, n.consul.process.pid)
        n.stop(signal.SIGKILL)
        entry = n.consul.wait_status(n.service(), "critical", timeout=SLOW_S)[0]
        assert registered.index(entry) == registered.made
        # by its helper's word, long before the TTL; the end of a namespace takes the helper along
        assert n.way == "PID 1" or (watch.seconds() < 1.4 and our_check(entry)["Output"].startswith("down"))
        kill(*workers)  # they serve on as orphans, but for those that the end of their namespace took along
        if n.way == "PID 1":  # nobody is left to deregister it: Consul does, after svcreg.deregister_after
            n.consul.put(f"/v1/agent/service/deregister/{n.service_id()}")
    else:
        assert n.stop(signal.SIGQUIT if event == "QUIT" else signal.SIGTERM) == 0
    n.consul.wait_gone(n.service(), timeout=SLOW_S)
    until(lambda: not n.helper_pids(), SLOW_S, "the helper has gone")
    for pid in (master, helper, *workers):
        until(lambda pid=pid: not os.path.exists(f"/proc/{pid}/exe"), SLOW_S, f"process {pid} has gone")


@pytest.mark.parametrize("socket", SOCKETS)
@pytest.mark.parametrize("pm", MANAGERS)
@pytest.mark.parametrize("way", WAYS)
def test_it_is_registered_judged_and_cleaned_up(node, table, way, pm, socket):
    if way == "PID 1" and os.geteuid() != 0:
        pytest.skip("a pid namespace needs root")
    nodes = dict(zip(ENDS, (make(node, way, pm, socket) for _ in ENDS), strict=True))
    for n in nodes.values():
        n.start()

    def mark(event, step, *arguments):
        table[way, pm, socket, event] = "FAILED"
        begin = time.monotonic()
        step(*arguments)
        table[way, pm, socket, event] = f"{time.monotonic() - begin:.2f} s"

    first = nodes["QUIT"]
    registered = Registration(first)
    mark("USR2", reload, first, registered)
    mark("KILL worker", kill_worker, first, registered)
    mark("KILL helper", kill_helper, first, registered)
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(mark, event, end, n, event) for event, n in nodes.items()]:
            done.result()
