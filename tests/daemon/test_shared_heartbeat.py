"""More pools than a few share the helper's heartbeat: each has a check that is an alias of the service `svcreg`."""

import json
import signal
import time
from urllib.parse import unquote

import pytest
from support.clock import Stopwatch
from support.consul import Consul
from support.fake_consul import GOOD, FakeConsul
from support.fpm import Fpm
from support.helper import Helper
from support.toxiproxy import Toxiproxy
from support.waiting import until

FEW, MANY = 20, 21
TTL_S, SHARED_TTL_S = 1.5, 2.5
POOL_TTL_S = 180
TURN_S = 1.0  # until every alias has turned, and the catalog knows
BACK_S = 2.0
BEATS = 6
IN_FLIGHT = 16  # requests to Consul


@pytest.fixture(scope="module")
def fpm(module_directory):
    with Fpm(module_directory) as fpm:
        yield fpm


def pools_of(fpm, service, count):
    return [{"name": f"p{i}", "listen": fpm.listen(), "service": service} for i in range(count)]


def helper_for(workdir, fpm, service, url, count=MANY):
    return Helper(workdir, pools_of(fpm, service, count), node=service, consul={"url": url})


def beats(fake):
    """-> ID of a check: how often it was told"""
    told = [unquote(path.rpartition("/")[2]) for _, path, _, _ in list(fake.requests) if "/check/update/" in path]
    return {check: told.count(check) for check in told}


def passing(consul, service):
    """Instances of which every check passes."""
    return len(consul.health(service, passing=True))


@pytest.mark.parametrize("count", [FEW, MANY])
def test_what_is_registered_and_told(workdir, fpm, service, count):
    with FakeConsul(lambda *_: GOOD) as fake, helper_for(workdir, fpm, service, fake.url, count):
        own, pool = f"svcreg:{service}:test", f"svcreg:{service}:test:p7"
        ttl_of = lambda body: float(body["Check"]["TTL"].removesuffix("ms")) / 1000  # noqa: E731
        until(lambda: beats(fake).get(f"{own}:ttl", 0) >= BEATS, 10, "the helper's heartbeats")
        known, told = {id: json.loads(body) for id, body in fake.registrations().items()}, beats(fake)
        assert len(known) == count + 1
        of_a_pool = told[f"{pool}:ttl"]
        if count == MANY:
            assert (ttl_of(known[own]), ttl_of(known[pool])) == (SHARED_TTL_S, POOL_TTL_S)
            (helper,) = known[pool]["Checks"]
            assert (helper["CheckID"], helper["AliasService"]) == (f"{pool}:helper", own)
            assert of_a_pool <= 3, "what it came to be, and perhaps one heartbeat"
        else:
            assert ttl_of(known[own]) == ttl_of(known[pool]) == TTL_S
            assert "Checks" not in known[pool]
            assert of_a_pool >= BEATS - 1


def test_the_helper_itself_is_told_of_first(workdir, fpm, service):
    """Else the aliases of what is registered before it turn, and turn back."""
    own, count = f"svcreg:{service}:test", 5 * IN_FLIGHT
    with FakeConsul(lambda *_: GOOD) as fake, helper_for(workdir, fpm, service, fake.url, count):
        until(lambda: len(fake.registrations()) == count + 1, 10, "all are registered")
        sent = [(unquote(path), body) for method, path, _, body in list(fake.requests) if method == "PUT"]
    assert own in [json.loads(body)["ID"] for path, body in sent[:IN_FLIGHT] if path.endswith("/register")]
    assert f"/v1/agent/check/update/{own}:ttl" in [path for path, _ in sent[: 3 * IN_FLIGHT]]


def test_silence_turns_all_and_its_end_too(workdir, fpm, consul, service, record_property):
    with helper_for(workdir, fpm, service, consul.url) as helper:
        until(lambda: passing(consul, service) == MANY, 10, "all pass")
        helper.process.send_signal(signal.SIGSTOP)
        watch = Stopwatch(consul.process.pid)
        until(lambda: passing(consul, service) == 0, 10, "none passes")
        silence_s = watch.seconds()
        helper.process.send_signal(signal.SIGCONT)
        watch = Stopwatch(consul.process.pid, helper.process.pid)
        until(lambda: passing(consul, service) == MANY, 10, "all pass again")
        back_s = watch.seconds()
    print(f"none passes after {silence_s:.2f} s, all again after {back_s:.2f} s")
    record_property("silence_s", round(silence_s, 2))
    assert silence_s <= SHARED_TTL_S + TURN_S
    assert back_s <= TURN_S


def test_an_agent_that_comes_back_empty_has_all_again(workdir, fpm, service):
    with Consul(workdir) as agent, helper_for(workdir, fpm, service, agent.url) as helper:
        until(lambda: passing(agent, service) == MANY, 10, "all pass")
        agent.stop()
        helper.wait_log("PHP is served on")
        agent.start()
        watch = Stopwatch(agent.process.pid, helper.process.pid)
        until(lambda: passing(agent, service) == MANY, 10, "all pass again")
        assert watch.seconds() <= BACK_S


def test_what_turned_behind_our_back_is_told_again_when_consul_is_back(workdir, fpm, consul, service):
    with (
        Toxiproxy(workdir, consul.port) as proxy,
        helper_for(workdir, fpm, service, proxy.url) as helper,
    ):
        until(lambda: passing(consul, service) == MANY, 10, "all pass")
        proxy.cut()
        helper.wait_log("PHP is served on")
        consul.put(f"/v1/agent/check/fail/svcreg:{service}:test:p7:ttl")
        proxy.heal()
        watch = Stopwatch(consul.process.pid, helper.process.pid, proxy.process.pid)
        until(lambda: passing(consul, service) == MANY, 10, "all pass again")
        assert watch.seconds() <= BACK_S


def reload(helper, fpm, consul, service, count):
    """Until so many pass; meanwhile none may fail that passes before and after."""
    helper.config["pools"] = pools_of(fpm, service, count)
    helper.write_config()
    helper.process.send_signal(signal.SIGHUP)

    def done():
        now = passing(consul, service)
        assert now >= FEW
        return now == count

    until(done, 5, f"{count} pools pass")


def test_a_reload_to_more_pools_and_back(workdir, fpm, consul, service):
    alias = f"svcreg:{service}:test:p7:helper"
    with helper_for(workdir, fpm, service, consul.url, FEW) as helper:
        until(lambda: passing(consul, service) == FEW, 10, "all pass")
        assert alias not in consul.get("/v1/agent/checks")
        reload(helper, fpm, consul, service, MANY)
        until(lambda: alias in consul.get("/v1/agent/checks"), 5, "an alias")
        reload(helper, fpm, consul, service, FEW)
        time.sleep(2 * TTL_S)  # each has a heartbeat of its own again
        assert passing(consul, service) == FEW
        helper.process.terminate()
        assert helper.wait() == 0
        assert not consul.health(service)
