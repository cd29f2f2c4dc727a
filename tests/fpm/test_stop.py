"""A planned stop loses no request; the load can see a loss when svcreg is off."""

import contextlib
import os
import signal
import time

import pytest
from support import fcgi
from support.clock import least
from support.fpm import Held
from support.load import Load
from support.waiting import FULL, until

CLIENTS, WORKERS = 12, 4


def stop_under_load(n, number):
    """Stops FPM in the middle of a load that keeps its queue full; returns the load and FPM's exit code."""
    with Load(n.listen(), n.page, CLIENTS, "ms=300", n.name.encode()) as load:
        deadline = time.monotonic() + 5
        while load.answered < WORKERS and time.monotonic() < deadline:
            time.sleep(0.02)
        n.send_signal(number)
        time.sleep(1.0)
        load.stop()  # a load balancer that has heard of the drain sends nothing more
        code = n.process.wait(30)
    return load, code


def stops_under_load(n, number, record_property, called):
    """Stops a node again and again; returns how many requests each stop lost, and FPM's exit codes."""
    lost, codes, answered = [], set(), 0
    for _ in range(20 if FULL else 1):
        with n:
            if called == "with":
                n.wait_passing()
            load, code = stop_under_load(n, number)
        lost.append(sum(load.lost.values()))
        codes.add(code)
        answered += load.answered
        assert load.answered > (CLIENTS if called == "with" else 0) and not n.helper_pids()
    total = answered + sum(lost)
    text = f"{sum(lost)} of {total} requests lost over {len(lost)} stops, {min(lost)} to {max(lost)} each"
    print(f"{called} svcreg, {number.name}, control timeout {n.top['process_control_timeout']}: {text}")
    record_property(f"lost_{called}_svcreg", text)
    return lost, codes


@pytest.mark.parametrize("timeout", ["0", "10s"])
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_running_and_queued_requests_are_answered(node, record_property, number, timeout):
    n = node(pools={"web": {"pm.max_children": WORKERS}}, top={"process_control_timeout": timeout})
    lost, codes = stops_under_load(n, number, record_property, "with")
    assert not any(lost) and codes == {0}


@pytest.mark.parametrize("timeout", ["0", "10s"])
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_without_svcreg_the_same_load_sees_the_loss(node, record_property, number, timeout):
    n = node(
        pools={"web": {"pm.max_children": WORKERS}},
        top={"process_control_timeout": timeout},
        ini={"svcreg.enabled": "0"},
    )
    n.page = n.script("page.php", "<?php usleep(300000); echo svcreg_node();")
    lost, _ = stops_under_load(n, number, record_property, "without")
    assert min(lost) >= WORKERS


def stops_untold(n, record_property, heeds, to_helper=None):
    """
    Stops a node of which nobody tells its clients, again and again, each time after a signal to its helper if one is
    named; returns how many requests each stop lost.
    """
    lost, answered = [], 0
    for _ in range(20 if FULL else 3):
        with n:
            n.wait_state("healthy")  # the load saturates the pool
            with Load(n.listen(), n.page, CLIENTS, "ms=5", heeds=heeds) as load:
                until(lambda load=load: load.answered > 3 * CLIENTS, 10, "a load")
                if to_helper:
                    os.kill(n.helper_pid(), to_helper)
                n.send_signal(signal.SIGQUIT)
                assert n.process.wait(10) == 0
                load.join()
        lost.append(sum(load.lost.values()))
        answered += load.answered
    text = (
        f"{sum(lost)} of {sum(lost) + answered} requests lost over {len(lost)} stops, {min(lost)} to {max(lost)} each"
    )
    print(f"clients that {'heed' if heeds else 'do not heed'} the answers: {text}")
    record_property(f"lost_untold_{'heeding' if heeds else 'heedless'}", text)
    return lost


@pytest.mark.parametrize("to_helper", [None, signal.SIGSTOP, signal.SIGKILL])
def test_the_answers_alone_tell_a_balancer_of_the_drain(node, record_property, to_helper):
    """As while Consul is away."""
    n = node(pools={"web": {"pm.max_children": WORKERS}}, top={"process_control_timeout": "10s"})
    n.ini["svcreg.drain_timeout"] = "2s"
    assert not any(stops_untold(n, record_property, True, to_helper))


def test_who_does_not_heed_the_answers_and_hears_of_it_nowhere_else_is_lost(node, record_property):
    n = node(pools={"web": {"pm.max_children": WORKERS}}, top={"process_control_timeout": "10s"})
    n.ini["svcreg.drain_timeout"] = "300ms"
    assert sum(stops_untold(n, record_property, False)) > 0


def test_no_answer_speaks_of_a_drain_before_there_is_one(node):
    with node() as n:
        n.wait_state("healthy")
        assert "svcreg-state" not in fcgi.request(n.listen(), n.page).headers
        with requests_running(n, 1):
            n.send_signal(signal.SIGQUIT)
            n.wait_state("draining")
            assert fcgi.request(n.listen(), n.page).headers["svcreg-state"] == "draining"


def test_an_idle_node_stops_quickly_and_is_deregistered_first(node, consul):
    n = node()

    def stop_s():
        with n:
            n.wait_passing()
            took = n.seconds_to_stop()
            assert not consul.health(n.service()) and not consul.check(n.service_id())
            return took

    assert least(stop_s, 1.0) < 1.0


@contextlib.contextmanager
def requests_running(n, count):
    """`count` requests in workers of a node that is passing, until the Held that it yields is released."""
    n.wait_passing()
    held = Held(n)
    with contextlib.ExitStack() as stack:
        stack.callback(held.release)
        for _ in range(count):
            fcgi.send(stack.enter_context(fcgi.connect(n.listen())), held.script)
        until(lambda: n.pool_status()["workers"]["active"] == count, 2, f"{count} requests running")
        yield held


def test_a_second_signal_goes_straight_through(node):
    n = node()

    def stop_s():
        with n, requests_running(n, 2):
            n.send_signal(signal.SIGTERM)
            n.wait_state("draining")
            return n.seconds_to_stop(signal.SIGTERM)

    assert least(stop_s, 2.5) < 2.5


def test_the_drain_is_bounded_by_its_timeout(node):
    n = node(ini={"svcreg.drain_timeout": "500ms"})

    def stop_s():
        with n, requests_running(n, 2):
            took = n.seconds_to_stop()
            assert took >= 0.5
            return took

    assert least(stop_s, 3) < 3


@pytest.mark.parametrize("since", ["before the stop", "in the midst of it"])
def test_a_helper_that_is_frozen_holds_a_stop_until_its_ttl_has_taken_the_node_out(node, since):
    n = node(ini={"svcreg.ttl": "1s"})

    def stop_s():
        with n, requests_running(n, 1):
            if since == "in the midst of it":
                n.send_signal(signal.SIGTERM)
                n.wait_state("draining")
            os.kill(n.helper_pid(), signal.SIGSTOP)
            begin = time.monotonic()
            if since == "before the stop":
                n.send_signal(signal.SIGTERM)
            assert n.process.wait(30) == 0
            return time.monotonic() - begin

    took = least(stop_s, 5.5)  # a second and a half more, and two for a goodbye that does not come
    assert 2.4 < took < 5.5


def test_a_reload_during_the_drain_is_swallowed(node):
    with node() as n, requests_running(n, 1) as held:
        n.send_signal(signal.SIGQUIT)
        n.wait_state("draining")
        n.send_signal(signal.SIGUSR2)
        held.release()
        assert n.process.wait(10) == 0 and not n.lines("Reloading in progress")


@pytest.mark.parametrize("way", ["-F", "-D"])
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_a_stop_in_the_midst_of_a_reload_drains_what_was_reloaded_and_ends_it(node, consul, number, way):
    n = node(top={"process_control_timeout": "10s"}, way=way)
    with n:
        with requests_running(n, 1) as held:
            n.send_signal(signal.SIGUSR2)
            until(lambda: n.lines("Reloading in progress"), 2, "FPM waits for the request, to reload")
            n.send_signal(number)
            n.wait_state("draining")
            held.release()
        until(lambda: n.lines("reloading: execvp"), 2, "the reload")
        until(lambda: n.lines("bye-bye"), 5, "the stop")
        until(lambda: not n.helper_pids(), 2, "the helper's end")
        assert not consul.health(n.service())


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
def test_a_stop_in_the_midst_of_a_reload_loses_no_request(node, number):
    n = node(pools={"web": {"pm.max_children": WORKERS}}, top={"process_control_timeout": "10s"})
    heedless = n.script(
        "heedless.php", "<?php $end = microtime(true) + .3; while (microtime(true) < $end) usleep(1000);"
    )
    with n:
        n.wait_passing()
        with Load(n.listen(), heedless, CLIENTS) as load:
            until(lambda: load.answered >= WORKERS, 5, "the next requests have just begun")
            n.send_signal(signal.SIGUSR2)
            until(lambda: n.lines("Reloading in progress"), 2, "FPM waits for them, to reload")
            n.send_signal(number)
            time.sleep(1.0)
            load.stop_soon()
            assert n.process.wait(10) == 0
            load.join()
    assert n.lines("reloading: execvp") and load.answered > CLIENTS and not load.lost


@pytest.mark.parametrize("unit", ["with", "without"])
def test_a_unit_of_systemds_without_the_drop_in_is_warned_about(node, unit):
    n = node(environment=os.environ | ({"SVCREG_KILL_MODE": "mixed"} if unit == "with" else {}))
    plain = n.command()
    n.command = lambda: ["sh", "-c", 'SYSTEMD_EXEC_PID=$$ exec "$@"', "sh", *plain]
    with n:
        assert len(n.lines("this unit lacks svcreg's drop-in")) == (1 if unit == "without" else 0)
        n.environment["SYSTEMD_EXEC_PID"] = "1"  # as what a service starts has it
        n.command = lambda: plain
    with n:
        assert len(n.lines("this unit lacks svcreg's drop-in")) == (1 if unit == "without" else 0)


def test_sigint_stops_at_once_and_still_deregisters(node, consul):
    n = node()

    def stop_s():
        with n:
            n.wait_passing()
            took = n.seconds_to_stop(signal.SIGINT)
            assert not consul.health(n.service())
            return took

    assert least(stop_s, 2.2) < 2.2


def test_ondemand_pools_that_never_forked_are_drained_too(node, consul):
    with node(pools={"web": {"pm": "ondemand"}}) as n:
        n.wait_passing()
        assert n.stop() == 0 and not consul.health(n.service())
