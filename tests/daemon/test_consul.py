"""Registration with a real Consul, and with fake ones that fail in every way."""

import json
import os
import signal
import statistics
import threading
import time
from pathlib import Path

import pytest
from support.clock import SELF, Stopwatch
from support.consul import Consul, our_check
from support.fake_consul import FakeConsul
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import free_port, until

TRIED_S = 1.5  # how long the helper waits for an answer of Consul's


@pytest.fixture(scope="module")
def fpm(module_directory):
    with Fpm(module_directory) as fpm:
        yield fpm


def helper_for(workdir, fpm, service, url, **more):
    pool = {"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 5, "service": service, **more}
    return Helper(workdir, [pool], node=service, consul={"url": url})


def good_consul(method, path):
    return 200, b"{}"


def test_a_pool_is_registered_as_the_design_says(workdir, fpm, consul, service):
    more = {"tags": ["a", "b"], "meta": {"k": "v"}, "weight": 7}
    with helper_for(workdir, fpm, service, consul.url, **more):
        [entry] = consul.wait_status(service, "passing")
        registered = entry["Service"]
        assert registered["ID"] == f"svcreg:{service}:test:web"
        assert registered["SocketPath"] == fpm.listen()
        assert (registered.get("Port", 0), registered["Tags"]) == (0, ["a", "b"])
        assert registered["Weights"] == {"Passing": 7, "Warning": 1}
        assert registered["Meta"].keys() == {"pool", "pm", "max_children", "php", "svcreg", "k"}
        check = our_check(entry)
        assert check["CheckID"] == f"svcreg:{service}:test:web:ttl"
        assert check["Output"] == "healthy"
        assert f"svcreg:{service}:test" in consul.services()


def test_a_tcp_pool_has_its_address_or_the_agents_own(workdir, consul, service):
    pools = [
        {"name": "any", "listen": f"*:{free_port()}", "service": f"{service}-any"},
        {"name": "one", "listen": f"10.1.2.3:{free_port()}", "service": f"{service}-one"},
        {"name": "own", "listen": "*:9", "address": "192.0.2.7", "service": f"{service}-own"},
    ]
    with Helper(workdir, pools, node=service, consul={"url": consul.url}):
        addresses = {}
        for pool in pools:
            [entry] = consul.wait_status(pool["service"], "critical")
            addresses[pool["name"]] = entry["Service"]["Address"]
        assert addresses == {"any": "", "one": "10.1.2.3", "own": "192.0.2.7"}


def test_the_checks_index_stands_still_while_the_state_does(workdir, fpm, consul, service):
    with helper_for(workdir, fpm, service, consul.url) as helper:
        consul.wait_status(service, "passing")
        until(lambda: helper.pool()["registered"], what="registered")
        before = consul.request("GET", f"/v1/health/service/{service}")[1]
        time.sleep(1.3)  # several heartbeats
        assert consul.request("GET", f"/v1/health/service/{service}")[1] == before


@pytest.mark.figures
def test_first_listen_to_passing_takes_100_ms_at_most(workdir, consul, service):
    took = []
    for i in range(5):
        name = f"{service}-{i}"
        folder = workdir / str(i)
        folder.mkdir(mode=0o755)
        folder.chmod(0o755)
        fpm = Fpm(folder)
        with helper_for(folder, fpm, name, consul.url) as helper:
            consul.wait_status(name, "critical")
            fpm.start(wait=False)
            until(lambda fpm=fpm: fpm.listen() in Path("/proc/net/unix").read_text(), every=0.001)
            watch = Stopwatch(helper.process.pid, consul.process.pid)
            consul.wait_status(name, "passing")
            took.append(watch.seconds())
            fpm.kill()
    print(f"LISTEN to passing: {[round(t * 1000) for t in took]} ms")
    assert statistics.median(took) <= 0.1


def test_an_agent_that_forgot_everything_is_told_again(workdir, fpm, own_consul, service):
    with helper_for(workdir, fpm, service, own_consul.url) as helper:
        own_consul.wait_status(service, "passing")
        own_consul.stop()
        helper.wait_log("PHP is served on")
        assert helper.pool()["state"] == "healthy"
        own_consul.start()
        own_consul.wait_status(service, "passing", timeout=2)
        log = helper.log_text()
        assert log.count("PHP is served on") == 1
        assert log.count(": connected") == 2


def test_a_service_deregistered_by_hand_comes_back(workdir, fpm, consul, service):
    with helper_for(workdir, fpm, service, consul.url):
        consul.wait_status(service, "passing")
        consul.put(f"/v1/agent/service/deregister/svcreg:{service}:test:web")
        consul.wait_status(service, "passing", timeout=2)


def test_what_an_earlier_run_left_behind_is_deregistered_and_nothing_else(workdir, fpm, consul, service):
    ghosts = [f"svcreg:{service}:test:old", f"svcreg:{service}:test2:web", f"svcreg:{service}2:test:web"]
    for ghost in ghosts:
        consul.put("/v1/agent/service/register", {"ID": ghost, "Name": f"{service}-ghost"})
    with helper_for(workdir, fpm, service, consul.url):
        consul.wait(f"{service}-ghost", lambda entries: {e["Service"]["ID"] for e in entries} == set(ghosts[1:]))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"Permission denied"),
        (429, b"rate limit"),
        (500, b"No cluster leader"),
        (200, b"<html>"),
        (200, b"x" * 5_000_000),
    ],
    ids=["403", "429", "500", "garbage", "5-megabytes"],
)
def test_a_consul_that_fails_is_asked_with_pauses_and_said_once(workdir, fpm, service, status, body):
    with FakeConsul(lambda *_: (status, body)) as fake, helper_for(workdir, fpm, service, fake.url) as helper:
        helper.wait_state("healthy")
        helper.wait_log("PHP is served on")
        time.sleep(1.5)
        assert 2 <= len(fake.requests) <= 12
        assert helper.log_text().count("consul ") == 1
        assert helper.status()["consul"]["state"] == "failing"
        assert helper.get("/live")[0] == 200


def test_a_consul_that_hangs_delays_no_probe(workdir, fpm, service):
    with FakeConsul(lambda *_: None) as fake, helper_for(workdir, fpm, service, fake.url) as helper:
        until(lambda: fake.requests, what="asked")
        watch = Stopwatch(SELF, helper.process.pid)
        for _ in range(100):
            assert helper.get("/live")[0] == 200
        assert watch.seconds() / 100 < 0.005
        assert len(fake.requests) <= 1 + watch.clock_s() // TRIED_S, "one at a time"


def test_a_refused_registration_holds_up_no_other(workdir, fpm, service):
    pools = [{"name": name, "listen": fpm.listen()} for name in ("bad", "good")]

    def picky(method, path):
        bad = path.endswith("/register") and b":bad" in fake.requests[-1][3]
        return (400, b"Invalid service address") if bad else (200, b"{}")

    with FakeConsul(picky) as fake, Helper(workdir, pools, consul={"url": fake.url}) as helper:
        until(lambda: helper.pool("good")["registered"], what="good is registered")
        assert not helper.pool("bad")["registered"]
        helper.wait_log("refuses the registration: answers 400: Invalid service address")


def test_a_stop_during_the_registration_leaves_no_ghost(workdir, fpm, service):
    """The agent takes a registration in although its sender has gone: the goodbye must come after it."""
    registered, asked = [], threading.Event()

    def slow(method, path):
        if path.endswith("/register"):
            asked.set()
            time.sleep(0.4)
            registered.append(path)
        elif "/deregister/" in path and registered:
            registered.pop()
        return good_consul(method, path)

    with FakeConsul(slow) as fake, helper_for(workdir, fpm, service, fake.url) as helper:
        assert asked.wait(3)
        helper.process.send_signal(signal.SIGTERM)
        helper.wait_log("draining")
        helper.process.send_signal(signal.SIGTERM)  # the second one: leave at once
        assert helper.process.wait(3) == 0
        until(lambda: not registered, 1, "the agent has forgotten it")
        time.sleep(0.5)
        assert not registered and len(fake.asked("/deregister/")) == len(fake.asked("/register"))


def test_the_token_is_sent_reread_and_never_shown(workdir, fpm, service):
    token = workdir / "token"
    token.write_text("secret-one\n")
    with FakeConsul(good_consul) as fake:
        pool = {"name": "web", "listen": fpm.listen()}
        config = {"url": fake.url.replace("http://", "http://user:secret-pw@"), "token_file": str(token)}
        with Helper(workdir, [pool], consul=config, log_level="debug") as helper:
            until(lambda: fake.asked("/check/update"), what="a heartbeat")
            assert fake.requests[0][2]["X-Consul-Token"] == "secret-one"
            token.write_text("secret-two\n")
            until(lambda: fake.requests[-1][2]["X-Consul-Token"] == "secret-two", what="the new token is used")
            shown = helper.get("/status")[2] + helper.get("/metrics")[2] + helper.log_text()
            assert "secret" not in shown
            for name in ("cmdline", "environ"):
                assert "secret" not in helper.proc(name)


def test_namespace_and_partition_are_sent(workdir, fpm):
    with FakeConsul(good_consul) as fake:
        config = {"url": fake.url, "namespace": "team a", "partition": "p"}
        with Helper(workdir, [{"name": "web", "listen": fpm.listen()}], consul=config):
            until(lambda: fake.asked("/register"), what="registered")
            assert all("ns=team%20a&partition=p" in path for _, path, _, _ in fake.requests)


def test_consul_is_reached_over_a_unix_socket(workdir, fpm, service):
    path = workdir / "consul.sock"
    with Consul(workdir, "-hcl", f'addresses {{ http = "127.0.0.1 unix://{path}" }}') as agent:
        with helper_for(workdir, fpm, service, f"unix://{path}") as helper:
            agent.wait_status(service, "passing")
            assert helper.status()["consul"]["url"] == f"unix://{path}"


@pytest.mark.figures
def test_many_pools_are_registered_in_parallel_and_stay_passing(workdir, fpm, consul, service):
    count = 200
    pools = [{"name": f"p{i}", "listen": fpm.listen(), "service": service} for i in range(count)]
    with Helper(workdir, pools, node=service, consul={"url": consul.url}) as helper:
        consul.wait_status(service, "passing", count, timeout=15)
        time.sleep(5)  # longer than the shared TTL
        assert len(consul.health(service, passing=True)) == count
        helper.process.terminate()
        assert helper.wait(10) == 0
    assert json.dumps(consul.health(service)) == "[]"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop rights")
def test_a_token_that_only_root_may_read_is_used_all_the_same(workdir, fpm):
    token = workdir / "token"
    token.write_text("secret")
    token.chmod(0o600)
    with FakeConsul(good_consul) as fake:
        config = {"url": fake.url, "token_file": str(token)}
        pools = [{"name": "web", "listen": fpm.listen()}]
        with Helper(workdir, pools, consul=config, user="nobody"):
            until(lambda: fake.requests, what="asked")
            assert fake.requests[0][2]["X-Consul-Token"] == "secret"
