"""Consul away, slow or wrong: said once, probes answered all the while, and the state back as soon as Consul is."""

import re
import time

import pytest
from support.clock import Stopwatch
from support.consul import our_check
from support.fake_consul import GOOD, FakeConsul
from support.fpm import Fpm
from support.helper import SANITIZED, Helper
from support.probes import Probes
from support.toxiproxy import Toxiproxy
from support.waiting import until

BACK_S = 2.0
PROBE_P99_MS = 5.0
TTL_S = 1.5
RSS_MAX_KB = 32 * 1024
TROUBLE_S = 2.5
TRIES_MAX = 8  # in TROUBLE_S: pauses that grow from 0.1 s to 1.5


@pytest.fixture(scope="module")
def fpm(module_directory):
    with Fpm(module_directory) as fpm:
        yield fpm


@pytest.fixture
def proxy(workdir, consul):
    with Toxiproxy(workdir, consul.port) as proxy:
        yield proxy


def helper_for(workdir, fpm, service, url):
    pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2, "service": service}]
    return Helper(workdir, pools, node=service, consul={"url": url})


def moods(helper):
    """What the log says of Consul, without times and texts."""
    return re.findall(r"consul \S+: (?:.*(PHP is served on)|(connected))", helper.log_text())


FAILED, CONNECTED = ("PHP is served on", ""), ("", "connected")

LOST = {
    "no_answer": ("timeout", {"timeout": 0}),
    "reset": ("reset_peer", {"timeout": 0}),
    "late_reset": ("reset_peer", {"timeout": 300}),
    "seconds_late": ("latency", {"latency": 2500}),
    "a_byte_now_and_then": ("slicer", {"average_size": 1, "size_variation": 0, "delay": 200000}),
    "cut": (None, {}),
}


@pytest.mark.parametrize("kind, attributes", LOST.values(), ids=LOST.keys())
def test_a_consul_out_of_reach_is_said_once_and_the_state_is_back_at_once(
    workdir, fpm, consul, proxy, service, kind, attributes, record_property
):
    with helper_for(workdir, fpm, service, proxy.url) as helper:
        consul.wait_status(service, "passing")
        with Probes(helper) as probes:
            if kind:
                proxy.poison(kind, **attributes)
            else:
                proxy.cut()
            consul.wait_status(service, "critical", timeout=TTL_S + 2)
            helper.wait_log("PHP is served on")
            time.sleep(TROUBLE_S)
            assert helper.pool()["state"] == "healthy"
            watch = Stopwatch(helper.process.pid, consul.process.pid, proxy.process.pid)
            proxy.heal()
            consul.wait_status(service, "passing")
            back_s = watch.seconds()
        print(f"back after {back_s:.2f} s; {probes}")
        record_property("back_s", round(back_s, 2))
        record_property("probe_p99_ms", round(probes.p99_ms, 2))
        until(lambda: helper.status()["consul"]["state"] == "ok", what="connected")
        assert moods(helper) == [CONNECTED, FAILED, CONNECTED], helper.log_text()
        assert back_s <= BACK_S
        assert probes.p99_ms < PROBE_P99_MS


SLOW = {
    "latency": ("latency", {"latency": 150, "jitter": 100}),
    "bandwidth": ("bandwidth", {"rate": 3}),
    "slow_close": ("slow_close", {"delay": 5000}),
}


@pytest.mark.parametrize("kind, attributes", SLOW.values(), ids=SLOW.keys())
def test_a_consul_that_is_merely_slow_stays_told(
    workdir, fpm, consul, proxy, service, kind, attributes, record_property
):
    with helper_for(workdir, fpm, service, proxy.url) as helper:
        consul.wait_status(service, "passing")
        proxy.poison(kind, **attributes)
        index = consul.request("GET", f"/v1/health/service/{service}")[1]
        with Probes(helper) as probes:
            time.sleep(TROUBLE_S)
        print(probes)
        record_property("probe_p99_ms", round(probes.p99_ms, 2))
        assert consul.request("GET", f"/v1/health/service/{service}")[1] == index, "the check was always in time"
        helper.cli("drain")
        until(lambda: our_check(consul.health(service)[0])["Output"].startswith("draining"), 2, "a change is told")
        assert moods(helper) == [CONNECTED], helper.log_text()
        assert probes.p99_ms < PROBE_P99_MS


WRONG = {
    "403": (403, b"Permission denied: token with AccessorID '0' lacks permission 'service:write'"),
    "429": (429, b"rate limit reached"),
    "500": (500, b"No cluster leader"),
    "garbage": (200, b"\x00\xff<html>\r\n" * 50),
    "10_megabytes": (200, b"[" * 10_000_000),
    "hangs": None,
}
GARBAGE_HARMS_LISTS_ALONE = {"garbage"}  # what Consul answers to a heartbeat is read by its status


@pytest.mark.latency
@pytest.mark.parametrize("name", WRONG.keys())
def test_a_consul_that_answers_wrongly_is_said_once_and_told_again_at_once(
    workdir, fpm, service, name, record_property
):
    trouble = []
    begins_with_it = name in GARBAGE_HARMS_LISTS_ALONE

    def answer(method, path):
        return WRONG[name] if trouble else GOOD

    if begins_with_it:
        trouble.append(name)
    with FakeConsul(answer) as fake, helper_for(workdir, fpm, service, fake.url) as helper:
        if not begins_with_it:
            until(lambda: helper.pool()["registered"], what="registered")
            trouble.append(name)
        helper.wait_log("PHP is served on")
        before = len(fake.requests)
        with Probes(helper) as probes:
            time.sleep(TROUBLE_S)
            assert len(fake.requests) - before <= TRIES_MAX
            rss_kb = int(re.search(r"VmRSS:\s+(\d+)", helper.proc("status"))[1])
            watch = Stopwatch(helper.process.pid)
            trouble.clear()
            fake.answered.clear()
            until(lambda: fake.took("/check/update"), 5, "a heartbeat is taken")
            back_s = watch.seconds()
        print(f"back after {back_s:.2f} s; {probes}; {rss_kb} kB")
        record_property("back_s", round(back_s, 2))
        record_property("probe_p99_ms", round(probes.p99_ms, 2))
        until(lambda: helper.status()["consul"]["state"] == "ok", what="connected")
        expected = [FAILED, CONNECTED] if begins_with_it else [CONNECTED, FAILED, CONNECTED]
        assert moods(helper) == expected, helper.log_text()
        assert back_s <= BACK_S
        assert probes.p99_ms < PROBE_P99_MS or SANITIZED
        assert rss_kb < RSS_MAX_KB or SANITIZED
