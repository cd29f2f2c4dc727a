"""A change of members costs no request and no reload; the same with reloads does, so the test can see a loss."""

import time

import pytest
from load import Load
from nginx_lab import laboratory, new_consul
from support.waiting import until

CHANGES = 50
DURATION_S = 10
CONTROL_ATTEMPTS = 3


@pytest.fixture(scope="module")
def consul():
    with new_consul() as agent:
        yield agent


@pytest.fixture
def lab(consul):
    with laboratory(consul) as made:
        yield made


def storm(nginx, comers_and_goers, after_each):
    """Comings and goings, at an even pace at best, under 50 clients that send POST. -> the load's result"""
    with Load(nginx.url, clients=50, method="POST") as load:
        begin = time.monotonic()
        for number in range(CHANGES):
            time.sleep(max(0.0, begin + number * DURATION_S / CHANGES - time.monotonic()))
            member = comers_and_goers[number % len(comers_and_goers)]
            if member.wanted:
                member.deregister()
            else:
                member.register()
            after_each(member)
    return load.result


def prepare(lab):
    lab.members("a", "b", "c")
    comers_and_goers = lab.members("d", "e", "f", register=False)
    return lab.nginx(), comers_and_goers


def wait_seen(nginx, member):
    """Until nginx has the member, or has it no more."""

    def seen():
        states = nginx.states()
        return states is not None and (member.id in states) == member.wanted

    until(seen, 5, f"{member.name} is seen to come or go")


def changes_seen(nginx, service):
    return nginx.logs().count(f"members of {service}:")


def test_fifty_changes_lose_no_post_and_close_no_connection(lab, record_property):
    nginx, comers_and_goers = prepare(lab)
    before, processes = changes_seen(nginx, lab.service), nginx.processes()
    result = storm(nginx, comers_and_goers, lambda member: wait_seen(nginx, member))
    report(record_property, "by list", result)
    assert result.failed == 0, result
    assert result.connections == 50, "no connection was closed"
    assert set(result.by_node) == set("abcdef"), "those that came got traffic"
    assert changes_seen(nginx, lab.service) - before >= CHANGES * 0.8, "nearly every change reached nginx on its own"
    assert nginx.processes() == processes, "no reload took place"


def test_the_control_with_a_reload_per_change_does_lose_posts(lab, record_property):
    nginx, comers_and_goers = prepare(lab)
    workers = set(nginx.processes())
    for _ in range(CONTROL_ATTEMPTS):
        result = storm(nginx, comers_and_goers, lambda _: nginx.signal("HUP"))
        report(record_property, "by reloads", result)
        if result.failed:
            break
    assert set(nginx.processes()) != workers, "it did reload"
    assert result.failed > 0, f"the harness cannot see a loss: {result}"


def report(record_property, how, result):
    lost = f"{result.failed} lost of {result.total}"
    text = f"{CHANGES} changes {how}: {lost}, {result.connections} connections for 50 clients"
    print(text)
    record_property(how, text)


def test_a_change_reaches_nginx_within_half_a_second(lab):
    nginx, (comer, *_) = prepare(lab)
    slowest = 0.0
    for _ in range(5):
        begin = time.monotonic()
        comer.register()
        until(lambda: (nginx.states() or {}).get(comer.id) == "healthy", 5, "the comer is there", every=0.005)
        slowest = max(slowest, time.monotonic() - begin)
        begin = time.monotonic()
        comer.say("draining")
        until(lambda: (nginx.states() or {}).get(comer.id) == "draining", 5, "it drains", every=0.005)
        slowest = max(slowest, time.monotonic() - begin)
        comer.deregister()
    print(f"slowest of 10 changes: {slowest * 1000:.0f} ms")
    assert slowest < 0.5
