"""Very many pools: how fast Consul knows them, what they cost at rest, and that one of them hurts no other."""

import signal
import subprocess
import time

import pytest
from support.consul import Consul
from support.cpu import cpu_s
from support.fake_consul import GOOD, FakeConsul
from support.helper import SANITIZED, Helper
from support.many_fpms import ManyFpms
from support.memory import memory_kb
from support.probes import Probes
from support.programs import compiled
from support.waiting import FULL, until

pytestmark = pytest.mark.figures

POOLS = 1000 if FULL else 200
REGISTER_RATIO = 1.2
PARALLEL = 16
ROUNDS = 4
REST_S = 30 if FULL else 8
REST_CORE = 0.05
HELPER_CORE = 0.01
SETTLE_S = 4
SILENCE_S = 5.0
USS_MAX_KB = 16 * 1024
PROBE_P99_MS = 5.0


@pytest.fixture
def agent(workdir):
    """An agent that logs as much as one in production, and has been there for a while."""
    with Consul(workdir, "-log-level=info") as agent:
        agent.wait_synced()
        yield agent


@pytest.fixture
def pools(workdir):
    with ManyFpms(workdir, POOLS) as pools:
        yield pools


def helper_for(workdir, pools, url, node="n1"):
    return Helper(workdir, pools.config, node=node, consul={"url": url}, log_level="warning")


def states(consul, node="n1"):
    """Services of ours by the worst of their checks."""
    ours = {}
    for check in consul.get(f"/v1/health/node/{consul.get('/v1/agent/self')['Config']['NodeName']}"):
        if check["ServiceID"].startswith(f"svcreg:{node}:test:"):
            good = check["Status"] == "passing"
            ours[check["ServiceID"]] = ours.get(check["ServiceID"], True) and good
    return ours


def all_passing(consul, node="n1"):
    ours = states(consul, node)
    return len(ours) == POOLS and all(ours.values())


def wait_passing(consul, node="n1", timeout=60):
    """The last one first, and by a query that the agent holds: to be asked again and again would cost it much."""
    last = f"svcreg:{node}:test:p{POOLS - 1}"

    def passes(entries):
        checks = [check for e in entries if e["Service"]["ID"] == last for check in e["Checks"]]
        return checks and all(check["Status"] == "passing" for check in checks)

    consul.wait(f"p{POOLS - 1}", passes, timeout, "the last one passes")
    until(lambda: all_passing(consul, node), timeout, "all pass", every=0.02)


@pytest.fixture(scope="module")
def bare_register(tmp_path_factory):
    return compiled(tmp_path_factory.mktemp("bare"), "bare_register", "-lcurl")


@pytest.fixture
def bodies(workdir, pools):
    """The registrations that the helper sends, of another node."""
    (workdir / "bare").mkdir(mode=0o755)
    with (
        FakeConsul(lambda *_: GOOD) as fake,
        Helper(workdir / "bare", pools.config, node="bare", consul={"url": fake.url}, log_level="warning"),
    ):
        until(lambda: len(fake.registrations()) == POOLS + 1, 60, "all were sent", every=0.1)
        return [body for id, body in fake.registrations().items() if ":p" in id]


def test_they_are_registered_as_fast_as_by_libcurl_alone(workdir, agent, pools, bare_register, bodies, record_property):
    """
    From the first request on until the last pool passes: each is registered and told of, 16 requests in parallel. The
    two take turns, and the quickest of each are compared: what else the machine does only adds.
    """
    own, bare = [], []
    for number in range(ROUNDS):
        node = f"n{number}"
        text = "\n".join(bodies).replace("svcreg:bare:", f"svcreg:bare{number}:") + "\n"
        command = [bare_register, agent.url, str(PARALLEL)]
        done = subprocess.run(command, input=text, check=True, capture_output=True, text=True, timeout=120)
        bare.append(float(done.stdout))
        for service in [s for s in agent.services() if s.startswith("svcreg:bare")]:
            agent.put(f"/v1/agent/service/deregister/{service}")
        with helper_for(workdir, pools, agent.url, node) as helper:
            begin = time.monotonic()
            wait_passing(agent, node)
            own.append(time.monotonic() - begin)
            helper.process.terminate()
            assert helper.wait(20) == 0
        print(f"{POOLS} pools: {own[-1]:.2f} s, bare libcurl {bare[-1]:.2f} s, ratio {own[-1] / bare[-1]:.2f}")
    record_property("own_s", [round(s, 2) for s in own])
    record_property("bare_s", [round(s, 2) for s in bare])
    assert min(own) <= REGISTER_RATIO * min(bare)


def test_at_rest_they_cost_little(workdir, agent, pools, record_property):
    with helper_for(workdir, pools, agent.url) as helper:
        wait_passing(agent)
        time.sleep(SETTLE_S)
        pids = helper.process.pid, agent.process.pid
        before, begin = [cpu_s(pid) for pid in pids], time.monotonic()
        time.sleep(REST_S)
        took = time.monotonic() - begin
        own, theirs = ((cpu_s(pid) - used) / took for pid, used in zip(pids, before, strict=True))
        uss, pss, *_ = memory_kb(helper.process.pid)
        print(f"{POOLS} pools: helper {own:.2%}, agent {theirs:.2%} of a core; USS {uss} kB, PSS {pss} kB")
        for name, value in (("helper", own), ("agent", theirs), ("uss_kb", uss), ("pss_kb", pss)):
            record_property(name, round(value, 4))
        assert all_passing(agent), "they stayed so"
        assert uss <= USS_MAX_KB
        assert own <= HELPER_CORE
        assert own + theirs <= REST_CORE


def test_silence_is_noticed_and_its_end_too(workdir, agent, pools, record_property):
    with helper_for(workdir, pools, agent.url) as helper:
        wait_passing(agent)
        time.sleep(SETTLE_S)
        helper.process.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        until(lambda: not any(states(agent).values()), 30, "none passes", every=0.25)
        silence_s = time.monotonic() - begin
        helper.process.send_signal(signal.SIGCONT)
        begin = time.monotonic()
        wait_passing(agent)
        back_s = time.monotonic() - begin
        print(f"{POOLS} pools: silence noticed after {silence_s:.2f} s, passing again after {back_s:.2f} s")
        record_property("silence_s", round(silence_s, 2))
        assert silence_s <= SILENCE_S, agent.log_tail("anti_entropy", "missed TTL", "Synced check")


@pytest.mark.latency
def test_one_that_hangs_changes_no_others_answers(workdir, pools, record_property):
    with Helper(workdir, pools.config) as helper:
        until(lambda: helper.pool(f"p{POOLS - 1}")["state"] == "healthy", 20, "all healthy")
        with Probes(helper, "/haproxy/p1") as before:
            time.sleep(2)
        pools.hang(0, 7)
        helper.wait_state("degraded", "p7", timeout=30)
        with Probes(helper, "/haproxy/p1") as during:
            time.sleep(4)
        status = {pool["name"]: pool["state"] for pool in helper.status()["pools"]}
        print(f"before: {before}; with two that hang: {during}")
        record_property("p99_ms", [round(before.p99_ms, 2), round(during.p99_ms, 2)])
        assert {name for name, state in status.items() if state != "healthy"} == {"p0", "p7"}
        assert max(before.p99_ms, during.p99_ms) < PROBE_P99_MS or SANITIZED


def test_many_that_hang_delay_no_others_proof(workdir, pools):
    """More hang than requests may be in flight together; one that is new is proven as fast as ever all the same."""
    hanging = range(POOLS // 2)
    pools.hang(*hanging)
    with Helper(workdir, pools.config) as helper:
        for number in range(POOLS // 2, POOLS):
            helper.wait_state("healthy", f"p{number}", timeout=10)
        states = {pool["state"] for pool in helper.status()["pools"][: POOLS // 2]}
        assert states == {"starting"}
