"""The cases: what is done to the stack under load, and what is promised for it.

A case is a function that is given the running experiment: it says `fault(victims…)` at the moment of the fault, and
`healed()` when the fault is over. What it does in between is all there is to it.
"""

import contextlib
import os
import signal
import threading
import time
from dataclasses import dataclass, replace

from judge import Promise
from lab import AGENT, HELPER, MASTER, WORKERS, docker, run, send
from support import fcgi

STUCK_S = 4  # a worker is free 3.3 s after its answer at the latest, see tcp_retries2 in docs/failover.md

# Half of the requests take 300 ms, half are POST: what the figures of the classic stack were measured with.
MIXED = "get=3,post=3,get-300=5,post-300=5,get-close=1,post-close=1,get-large=1"
QUICK = "get=4,post=4,get-300=1,post-300=1,get-close=1,post-close=1,get-large=1"


@dataclass(frozen=True)
class Case:
    name: str
    about: str
    act: object
    promise: Promise
    planned: bool
    short: bool
    stack: str = "cluster"
    nodes: int = 4
    rate: float = 60
    mix: str = MIXED
    control: bool = False  # must break its promise
    starves: bool = False  # that the machine has no time is what it is about

    @property
    def kind(self):
        return "control" if self.control else "planned" if self.planned else "unplanned"


CASES = {}

# A planned change loses nothing at all.
PLANNED = Promise()
# What answers a connect with a refusal: one try more, and only what was in flight can be lost.
DIED = Promise(failed_other=None, bad_until=1.0, slow_until=1.0, out_of_balancer=2.5)
# Silence: what starts later than 2.5 s after it neither fails nor waits. When it ends the node is back soon.
SILENT = Promise(failed_other=None, bad_until=2.5, slow_until=2.5, out_of_balancer=2.5, back=5.0)
# … and no worker waits much longer than it has to for who cannot be reached.
CUT_OFF = replace(SILENT, stuck=0)
# Nothing of a request's way is hurt.
UNHURT = Promise(slow=0)


def case(name, about, promise, planned=False, short=False, **options):
    def keep(act):
        CASES[name] = Case(name, about, act, promise, planned, short, **options)
        return act

    return keep


def with_haproxy(*names, short=()):
    """The same cases with HAProxy in front."""
    for name in names:
        about = f"{CASES[name].about}, with HAProxy"
        CASES[f"haproxy-{name}"] = replace(
            CASES[name], name=f"haproxy-{name}", about=about, stack="haproxy", short=name in short
        )


def control(name, of, about, stack, short=False):
    """The same case on a stack that must fail its gate."""
    CASES[name] = replace(CASES[of], name=name, about=about, stack=stack, short=short, control=True)


# --- planned


@case("stop", "`docker stop` of one node, and its start", PLANNED, planned=True, short=True, rate=120, mix=QUICK)
def stop(experiment):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault(node)
    began = time.monotonic()
    lab.stop(node)
    experiment.note("stop_took", time.monotonic() - began)
    time.sleep(1)
    experiment.healed()
    lab.start(node)


@case("scale", "`docker-compose scale` 4 → 10 → 4", PLANNED, planned=True, short=True, rate=100, mix=QUICK)
def scale(experiment):
    lab = experiment.lab
    experiment.fault()
    lab.scale(10)
    lab.wait_whole(10)
    lab.scale(4)


@case(
    "stop-queued",
    "`docker stop` of one node while POSTs queue on every node",
    PLANNED,
    planned=True,
    short=True,
    rate=30,
)
def stop_queued(experiment):
    lab, node = experiment.lab, experiment.victim()
    with experiment.burst(rate=25, mix="post-1000=1", seconds=2.5):
        time.sleep(2)
        experiment.fault(node)
        lab.stop(node)
    experiment.healed()
    lab.start(node)


@case("reload", "FPM reload (USR2), five in a row", PLANNED, planned=True, short=True, rate=120, mix=QUICK)
def reload(experiment):
    node = experiment.victim()
    master = node.processes(*MASTER)  # the same after a reload
    experiment.fault()
    for _ in range(5):
        send(signal.SIGUSR2, master)
        time.sleep(1)


@case("stop-but-one", "`docker stop` of all nodes but one at once", PLANNED, planned=True, rate=40, mix=QUICK)
def stop_but_one(experiment):
    lab, nodes = experiment.lab, experiment.lab.nodes()[1:]
    experiment.fault(*nodes)
    lab.stop(*nodes)
    experiment.healed()
    lab.start(*nodes)


@case("storm", "50 changes of membership in 10 s", PLANNED, planned=True, rate=120, mix=QUICK)
def storm(experiment):
    nodes = experiment.lab.nodes()[:2]
    experiment.fault()
    begin = time.monotonic()
    for number in range(50):
        time.sleep(max(0.0, begin + number * 0.2 - time.monotonic()))
        verb = "undrain" if number // 2 % 2 else "drain"
        experiment.lab.control(nodes[number % 2], verb)
    for node in nodes:
        experiment.lab.control(node, "undrain")


@case("leave", "the host is decommissioned: its agent leaves", PLANNED, planned=True)
def leave(experiment):
    node = experiment.victim()
    experiment.fault(node)
    said = node.inside("consul", "leave", check=False)  # an agent may be gone before it has answered
    try:
        experiment.gone(node)
    except AssertionError as error:
        raise RuntimeError(f"the agent did not leave; consul leave said: {said}") from error
    experiment.healed()


@case("stop-consul-away", "`docker stop` of one node while every Consul server is down", PLANNED, planned=True)
def stop_consul_away(experiment):
    lab, node, servers = experiment.lab, experiment.victim(), experiment.lab.servers()
    lab.kill(*servers)
    try:
        experiment.fault()
        lab.stop(node)
    finally:
        lab.start(*servers)
    experiment.healed()
    lab.start(node)


@case("stop-helper-frozen", "`docker stop` of one node whose helper is frozen", PLANNED, planned=True)
def stop_helper_frozen(experiment):
    lab, node = experiment.lab, experiment.victim()
    send(signal.SIGSTOP, node.processes(*HELPER))
    experiment.fault(node)
    lab.stop(node)
    experiment.healed()
    lab.start(node)


@case("deploy", "`script/deploy`: each node replaced by a new one", PLANNED, planned=True, rate=100, mix=QUICK)
def deploy(experiment):
    before = experiment.lab.nodes()
    experiment.fault()
    code, said = experiment.lab.deploy(CHAOS_VERSION=str(time.time()))
    if code or set(before) & set(experiment.lab.nodes()):
        raise RuntimeError(f"script/deploy ended with {code}: {said}")


@case("deploy-bad", "`script/deploy` of a version that is never ready", PLANNED, planned=True, rate=100, mix=QUICK)
def deploy_bad(experiment):
    before = experiment.lab.nodes()
    experiment.fault()
    code, said = experiment.lab.deploy("--timeout", "8", CHAOS_WARMUP="/src/missing.php")
    if code != 1 or before != experiment.lab.nodes() or "is not ready" not in said:
        raise RuntimeError(f"script/deploy ended with {code}: {said}")


# --- something dies


@case("kill-master", "FPM master SIGKILLed", replace(DIED, out_of_consul=0.25), short=True)
def kill_master(experiment):
    node = experiment.victim()
    master = node.processes(*MASTER)
    experiment.fault(node)
    send(signal.SIGKILL, master)
    experiment.returns(node)


@case("kill-container", "`docker kill` of one node", DIED, short=True)
def kill_container(experiment):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault(node)
    lab.kill(node)
    time.sleep(experiment.hold_s)
    experiment.healed()
    lab.start(node)


@case("kill-worker", "an FPM worker SIGKILLed", replace(DIED, out_of_balancer=None))
def kill_worker(experiment):
    node = experiment.victim()
    workers = node.processes(*WORKERS)
    experiment.fault()
    send(signal.SIGKILL, workers[:1])
    time.sleep(2)


@case("kill-helper", "fpm-health SIGKILLed", replace(UNHURT, failed_other=0, removals=0))
def kill_helper(experiment):
    node = experiment.victim()
    helper = node.processes(*HELPER)
    experiment.fault()
    send(signal.SIGKILL, helper)
    time.sleep(3)


@case("freeze-helper", "fpm-health frozen: its pool looks lost to Consul, and is not", UNHURT)
def freeze_helper(experiment):
    node = experiment.victim()
    frozen(experiment, node, HELPER)


@case("kill-agent", "the node's Consul agent SIGKILLed", UNHURT)
def kill_agent(experiment):
    node = experiment.victim()
    agent = node.processes(*AGENT)
    experiment.fault()
    send(signal.SIGKILL, agent)
    time.sleep(experiment.hold_s)


@case("kill-leader", "the Consul leader SIGKILLed", replace(UNHURT, removals=0))
def kill_leader(experiment):
    lab = experiment.lab
    leader = lab.leader()
    experiment.fault()
    lab.kill(leader)
    time.sleep(experiment.hold_s)
    lab.start(leader)


@case("kill-nginx-worker", "an nginx worker SIGKILLed", Promise(None, None, bad_until=1.0, slow_until=1.0))
def kill_nginx_worker(experiment):
    nginx = experiment.lab.container("nginx")
    workers = nginx.processes("nginx: worker")
    experiment.fault()
    send(signal.SIGKILL, workers[:1])
    time.sleep(2)


@case("oom", "a worker that eats its container's memory is killed by the kernel", replace(DIED, out_of_balancer=None))
def oom(experiment):
    node = experiment.victim()
    docker("update", "--memory", "400m", "--memory-swap", "400m", node.id)
    try:
        experiment.fault()
        with contextlib.suppress(OSError, EOFError):
            ask_directly(node, "eat=2000", wait=True)
        time.sleep(2)
    finally:
        docker("update", "--memory", "16g", "--memory-swap", "16g", node.id)


# --- silence


@case("pause", "a node frozen (`docker pause`)", SILENT, short=True)
def pause(experiment):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault(node)
    lab.pause(node)
    try:
        time.sleep(experiment.hold_s)
    finally:
        experiment.healed()
        lab.unpause(node)


@case("drop-in", "packets to a node dropped", CUT_OFF, short=True)
def drop_in(experiment):
    dropped(experiment, "INPUT")


@case("drop-out", "packets from a node dropped", CUT_OFF)
def drop_out(experiment):
    dropped(experiment, "OUTPUT")


def dropped(experiment, chain):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault(node)
    lab.drop(node, chain)
    try:
        endure(experiment, node)
    finally:
        experiment.healed()
        lab.undrop(node, chain)


def endure(experiment, node):
    """Lasts as long as the fault; notes how many workers wait for STUCK_S of it to be rid of one connection."""
    time.sleep(experiment.hold_s - STUCK_S)
    waiting = experiment.lab.waiting(node)
    time.sleep(STUCK_S)
    stuck = [line for peer, line in experiment.lab.waiting(node).items() if peer in waiting]
    for line in stuck:
        print(f"stuck: {line}", flush=True)
    experiment.note("stuck", len(stuck))


@case("link-down", "a node's link down", CUT_OFF, short=True)
def link_down(experiment):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault(node)
    lab.link(node, "down")
    try:
        endure(experiment, node)
    finally:
        experiment.healed()
        lab.link(node, "up")


@case("stop-workers", "all workers of a node SIGSTOPped", SILENT)
def stop_workers(experiment):
    frozen(experiment, experiment.victim(), WORKERS)


@case("stop-master", "FPM master SIGSTOPped: its workers serve on", replace(UNHURT, removals=0))
def stop_master(experiment):
    frozen(experiment, experiment.victim(), MASTER)


def frozen(experiment, node, kind):
    pids = node.processes(*kind)
    experiment.fault(node)
    send(signal.SIGSTOP, pids)
    try:
        time.sleep(experiment.hold_s)
    finally:
        experiment.healed()
        send(signal.SIGCONT, pids)


@case("asleep", "every worker of a node asleep for 20 s", SILENT)
def asleep(experiment):
    node = experiment.victim()
    experiment.fault(node)
    for _ in range(5):
        ask_directly(node, "sleep=20000")
    time.sleep(20)
    experiment.healed()


# --- Consul


@case("wipe", "Consul's data wiped", replace(UNHURT, back=5.0), short=True)
def wipe(experiment):
    lab, servers = experiment.lab, experiment.lab.servers()
    experiment.fault()
    lab.kill(*servers)
    for server in servers:
        run("find", lab.data_of(server), "-mindepth", "1", "-delete")
    lab.start(*servers)
    experiment.elected()
    experiment.healed(*lab.nodes())


@case("servers-down", "every Consul server down for 60 s", replace(UNHURT, back=5.0, removals=0))
def servers_down(experiment):
    lab, servers = experiment.lab, experiment.lab.servers()
    experiment.fault()
    lab.kill(*servers)
    try:
        time.sleep(60)
    finally:
        lab.start(*servers)
    experiment.elected()
    experiment.healed(*lab.nodes())


# --- the machine


@case("disk-full", "a node's disks full", replace(UNHURT, removals=0))
def disk_full(experiment):
    node = experiment.victim()
    mounts = ("/tmp", "/run/svcreg")
    experiment.fault()
    for path in mounts:
        run("nsenter", "-t", node.pid, "-m", "mount", "-o", "remount,size=48m", path)
        node.inside("sh", "-c", f"cat /dev/zero > {path}/full", check=False)
    time.sleep(experiment.hold_s)
    for path in mounts:
        node.inside("rm", "-f", f"{path}/full")


@case("starved", "every core kept busy by others", Promise(removals=0), starves=True)
def starved(experiment):
    experiment.fault()
    seconds = 600 if experiment.full else 30
    run("stress-ng", "--quiet", "--cpu", 2 * os.cpu_count(), "--timeout", f"{seconds}s", timeout=seconds + 60)
    experiment.note("late_heartbeats", experiment.lab.said("missed TTL", experiment.fault_at))


@case("clock-jump", "a node's clock jumps an hour ahead, and back", replace(UNHURT, removals=0), stack="clock")
def clock_jump(experiment):
    lab, node = experiment.lab, experiment.victim()
    experiment.fault()
    lab.set_clock(node, 3600)
    try:
        time.sleep(experiment.hold_s)
        experiment.note("jumped", round(lab.clock(node) - time.time()))
    finally:
        lab.set_clock(node, 0)
    time.sleep(experiment.hold_s)
    if experiment.notes["jumped"] != 3600 or abs(lab.clock(node) - time.time()) > 2:
        raise RuntimeError(f"the clock of {node.name} did not jump and come back")


def ask_directly(node, query, wait=False):
    """Sends a request past the balancer; the answer, if it is not waited for, is read and forgotten by a thread."""
    sock = fcgi.connect(f"{node.address}:9000", timeout=60)
    fcgi.send(sock, "/src/index.php", query)
    if wait:
        fcgi.receive(sock)
        return

    def read():
        with contextlib.suppress(OSError, EOFError), sock:
            fcgi.receive(sock)

    threading.Thread(target=read, daemon=True).start()


with_haproxy(
    *(
        "stop",
        "scale",
        "stop-queued",
        "reload",
        "stop-but-one",
        "storm",
        "deploy",
        "kill-container",
        "pause",
        "drop-in",
    ),
    *("link-down", "asleep", "wipe", "servers-down"),
    short=("stop", "pause"),
)
# HAProxy leaves in who is saturated, and sends nobody more than it has workers.
CASES["haproxy-asleep"] = replace(CASES["haproxy-asleep"], promise=replace(SILENT, out_of_balancer=None))

# --- the negative controls

control("classic-pause", "pause", "the classic stack: a node frozen", "classic", short=True)
control("classic-stop", "stop", "the classic stack: `docker stop` of one node", "classic")
control("classic-wipe", "wipe", "the classic stack: Consul's data wiped", "classic")
control("no-drain-stop", "stop-queued", "without drain: `docker stop` of one node", "no-drain", short=True)
control("default-gossip-pause", "pause", "default gossip: a node frozen", "default-gossip")
control("slow-check-pause", "pause", "a check of 16 s: a node frozen", "slow-check")
