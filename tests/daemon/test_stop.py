"""With a board, as the extension uses it: planned stop, reload, hold, drain, and the ends that nobody planned."""

import os
import signal
import subprocess
import time

import pytest
from support import board as boards
from support.board import Board
from support.clock import Stopwatch
from support.consul import our_check
from support.cpu import cpu_s
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import until

SERVICE = "web"


@pytest.fixture
def fake_master():
    """A process that stands for FPM's master where only its life matters."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def board(fake_master):
    board = Board({"web": 4})
    board.set_master(fake_master.pid)
    yield board
    board.close()


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir) as fpm:
        yield fpm


def pool_of(fpm, **more):
    return {"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 2} | more


@pytest.fixture
def helper(workdir, board, fpm, consul, service):
    pools = [pool_of(fpm, service=service)]
    with Helper(workdir, pools, board, node=service, consul={"url": consul.url}) as helper:
        consul.wait_status(service, "passing")
        yield helper


def test_publishes_its_verdict_and_itself_into_the_board(helper, board, consul, service):
    until(lambda: board.info().registered, what="registered is published")
    assert board.header.helper_pid == helper.process.pid
    assert board.state() == "healthy"
    assert board.info().weight == 100
    assert board.info().queue_max > 0
    assert board.header.consul_state == 2


def test_a_planned_stop_drains_says_go_deregisters_and_says_gone(helper, board, consul, service):
    board.header.stop = boards.DRAIN
    board.ring()
    until(lambda: board.header.stop == boards.GO, 3, "GO")
    [entry] = consul.wait_status(service, "critical")
    assert our_check(entry)["Output"].startswith("draining")
    assert helper.get("/haproxy/web")[0] == 404
    board.header.stop = boards.LEAVING
    board.ring()
    assert helper.wait() == 0
    assert board.header.stop == boards.GONE
    assert consul.health(service) == []


def test_an_idle_pool_is_drained_within_a_second(helper, board, consul):
    watch = Stopwatch(helper.process.pid, consul.process.pid)
    board.header.stop = boards.DRAIN
    board.ring()
    until(lambda: board.header.stop == boards.GO, 3, "GO")
    assert watch.seconds() < 1.0
    assert watch.clock_s() >= 0.3


def drain_while_busy(helper, board):
    """A stop while a worker is busy, until the pool drains; returns the worker's slot."""
    slot = board.slot()
    slot.pid, slot.busy, slot.requests = os.getpid(), 1, 1
    board.header.stop = boards.DRAIN
    board.ring()
    helper.wait_state("draining")
    return slot


def test_a_drain_waits_for_a_busy_worker(helper, board):
    slot = drain_while_busy(helper, board)
    time.sleep(1)
    assert board.header.stop == boards.DRAIN
    slot.busy = 0
    until(lambda: board.header.stop == boards.GO, 2, "GO")


def test_a_drain_that_never_gets_quiet_ends_at_its_deadline(workdir, board, fpm):
    drain = {"quiet_ms": 300, "probers_ms": 100, "timeout_ms": 800}
    with Helper(workdir, [pool_of(fpm)], board, drain=drain) as helper:
        helper.wait_state("healthy")
        slot = board.slot()
        slot.pid, slot.busy = os.getpid(), 1
        begin = time.monotonic()
        board.header.stop = boards.DRAIN
        board.ring()
        until(lambda: board.header.stop == boards.GO, 3, "GO")
        assert time.monotonic() - begin >= 0.75
        helper.wait_log("deadline")


def test_sigint_of_fpm_deregisters_at_once(helper, board, consul, service):
    board.header.stop = boards.LEAVING
    board.ring()
    assert helper.wait(2) == 0
    assert board.header.stop == boards.GONE
    assert consul.health(service) == []


def test_master_killed_is_critical_at_once_and_orphans_stay_registered(helper, board, fake_master, consul, service):
    watch = Stopwatch(helper.process.pid, consul.process.pid)
    fake_master.kill()
    [entry] = consul.wait_status(service, "critical")
    assert watch.seconds() < 0.2
    assert our_check(entry)["Output"].startswith("down: FPM's master is gone")
    helper.wait_log("FPM's master")
    assert helper.process.poll() is None


def test_master_and_sockets_gone_is_deregistered(helper, board, fpm, fake_master, consul, service):
    workers = fpm.workers()
    for pid in (fpm.pid, *workers, fake_master.pid):
        os.kill(pid, signal.SIGKILL)
    assert helper.wait(5) == 0
    assert consul.health(service) == []


def test_a_helper_killed_comes_back_without_a_flap(helper, board, consul, service):
    helper.process.kill()
    helper.process.wait()
    index = consul.request("GET", f"/v1/health/service/{service}")[1]
    helper.start()
    until(lambda: helper.pool()["registered"], what="registered again")
    assert helper.pool()["state"] == "healthy"
    entries, after = consul.request("GET", f"/v1/health/service/{service}")
    assert our_check(entries[0])["Status"] == "passing"
    assert after == index, "the check changed in between"


def test_a_new_helper_carries_on_with_a_drain(helper, board):
    slot = drain_while_busy(helper, board)
    helper.process.kill()
    helper.process.wait()
    helper.start()
    assert helper.pool()["state"] == "draining"
    slot.busy = 0
    until(lambda: board.header.stop == boards.GO, 3, "GO")


def test_a_stop_that_is_taken_back_is_over(helper, board, consul, service):
    board.header.stop = boards.DRAIN
    board.ring()
    helper.wait_state("draining")
    board.header.stop = boards.RUN
    board.ring()
    helper.wait_state("healthy")
    consul.wait_status(service, "passing")


def test_a_reload_in_the_midst_of_a_stop_leaves_it_going_on(helper, board):
    drain_while_busy(helper, board)
    helper.reload(layout={"web": 4})
    assert board.header.stop == boards.DRAIN and helper.pool()["state"] == "draining"
    until(lambda: board.header.stop == boards.GO, 3, "GO: no worker of the new layout is busy")


def test_drain_and_maintenance_survive_the_helper(helper, board):
    assert helper.cli("maint", "on", "web", "--reason", "new disk").returncode == 0
    assert helper.pool()["state"] == "maintenance"
    helper.process.kill()
    helper.process.wait()
    helper.start()
    assert helper.pool()["state"] == "maintenance"
    assert helper.pool()["reason"] == "new disk"
    helper.cli("maint", "off")
    helper.cli("drain")
    helper.process.kill()
    helper.process.wait()
    helper.start()
    assert helper.pool()["state"] == "draining"


def test_hold_takes_effect_within_milliseconds(helper, board, consul, service):
    board.set_text(board.pool().hold_reason, "cache is cold")
    board.pool().hold = boards.HOLD_UNREADY
    board.ring()
    assert helper.wait_state("starting") < 0.1
    assert helper.pool()["reason"] == "cache is cold"
    consul.wait_status(service, "critical")
    board.pool().hold = boards.HOLD_READY
    board.ring()
    consul.wait_status(service, "passing")


def test_a_manual_pool_waits_for_svcreg_ready(workdir, board, fpm):
    with Helper(workdir, [pool_of(fpm, ready="manual")], board) as helper:
        until(lambda: "svcreg_ready" in helper.pool()["reason"], what="held back")
        assert helper.pool()["state"] == "starting"
        board.pool().hold = boards.HOLD_READY
        board.ring()
        helper.wait_state("healthy")


def test_a_reload_adds_drops_and_keeps_pools(helper, board, fpm, consul, service):
    more = {"name": "api", "listen": str(fpm.directory / "api.sock"), "service": f"{service}-2"}
    before = consul.health(service)[0]["Service"]["CreateIndex"]
    helper.reload([more, *helper.config["pools"]], {"api": 2, "web": 4})
    consul.wait_status(f"{service}-2", "critical")
    assert board.state(1) == "healthy"
    assert consul.health(service)[0]["Service"]["CreateIndex"] == before
    helper.reload([pool_of(fpm, service=service)], {"web": 4})
    consul.wait_gone(f"{service}-2")
    assert [p["name"] for p in helper.status()["pools"]] == ["web"]
    assert our_check(consul.health(service)[0])["Status"] == "passing"


def test_a_pool_that_a_reload_moves_to_another_socket_is_proven_anew(helper, board, fpm, consul, service):
    elsewhere = str(fpm.directory / "elsewhere.sock")
    helper.reload([pool_of(fpm, service=service, listen=elsewhere)])
    helper.wait_state("starting")
    assert helper.pool()["reason"] == "not listening yet"
    consul.wait_status(service, "critical")
    helper.reload([pool_of(fpm, service=service)])
    helper.wait_state("healthy")
    consul.wait_status(service, "passing")


def test_a_broken_configuration_leaves_the_old_one_in_force(helper, board):
    board.header.generation += 1
    helper.config_path.write_text('{"pools": [{"name": "web", "lisen": "/x"}]}')
    board.ring()
    helper.wait_log("pools[0].lisen: unknown key")
    assert helper.pool()["state"] == "healthy"
    assert board.header.acked_generation == 0
    assert b"unknown key" in board.header.helper_error.bytes


def test_another_binary_in_the_configuration_makes_it_leave_without_deregistering(helper, board, consul, service):
    helper.config["helper"] = {"path": "/x", "dev": 1, "ino": 2, "mtime": 3}
    helper.config["generation"] += 1
    helper.write_config()
    board.header.generation += 1
    board.ring()
    assert helper.wait() == 75
    assert our_check(consul.health(service)[0])["Status"] == "passing"


def test_a_second_helper_waits_for_the_lock(helper, board, workdir):
    second = Helper(workdir, helper.config["pools"], board, **{k: helper.config[k] for k in ("consul", "node")})
    second.start(wait=False)
    helper.process.kill()
    helper.process.wait()
    until(lambda: board.header.helper_pid == second.process.pid, 5, "the second takes over")
    second.stop()


def test_the_launcher_hands_over_to_the_daemonized_master(helper, board, fake_master):
    board.header.handover = 1
    fake_master.kill()
    fake_master.wait()
    with subprocess.Popen(["sleep", "600"]) as master:
        board.set_master(master.pid)
        until(lambda: helper.status()["master"]["pid"] == master.pid, what="the new master is watched")
        assert helper.pool()["state"] == "healthy"
        master.kill()
        master.wait()
        helper.wait_state("down")


def test_sigterm_to_the_helper_means_drain_and_it_outlives_the_master(helper, board, fpm, fake_master, consul, service):
    helper.process.send_signal(signal.SIGTERM)
    consul.wait_status(service, "critical")
    assert helper.pool()["state"] == "draining"
    assert helper.process.poll() is None
    fpm.stop()
    fake_master.kill()
    assert helper.wait(5) == 0
    assert consul.health(service) == []


def test_a_doorbell_that_never_stops_costs_little(helper, board):
    def reads():
        return int(helper.proc("io").split("syscr: ")[1].split()[0])

    watch, begun, before = Stopwatch(), reads(), cpu_s(helper.process.pid)
    while watch.clock_s() < 1:
        board.ring()
        time.sleep(0)
    used_s, made, took_s = cpu_s(helper.process.pid) - before, reads() - begun, watch.clock_s()
    assert used_s / took_s < 0.5, "more than half a core for a bell"
    assert made / took_s < 400, "it is covered for 5 ms after each ring: 200 reads a second, and those of the samples"
    assert helper.get("/live")[0] == 200
