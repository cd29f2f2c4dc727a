"""Debian's php8.4-fpm.service under a real systemd: start, reload, stop, and what is lost."""

import os
import signal

from fpm_unit import UNIT, systemctl
from support.clock import Stopwatch
from support.waiting import until

WARNING = "this unit lacks svcreg's drop-in"


def busy(load):
    until(lambda: load.answered >= 8, 10, "the load goes on")


def test_the_start_is_registered_in_the_masters_cgroup_and_warns_of_nothing(unit):
    u = unit()
    entry = u.start()
    assert entry["Service"]["ID"] == "svcreg:n:etc-php-8.4-fpm-php-fpm.conf:www"
    assert u.shown("ActiveState") == "active" and u.helper() in u.processes()
    assert WARNING not in u.journal() and "WARNING" not in u.journal()


def test_a_reload_under_load_loses_nothing_and_keeps_master_helper_and_registration(unit):
    u = unit()
    entry, pid, helper = u.start(), u.pid, u.helper()
    with u.load() as load:
        for _ in range(3):
            busy(load)
            load.answered = 0
            systemctl("reload", UNIT)
    assert not load.lost and not load.refused
    assert (u.pid, u.helper()) == (pid, helper)
    after = u.consul.wait_status(u.service, "passing")[0]
    assert after["Service"]["CreateIndex"] == entry["Service"]["CreateIndex"]


def test_a_stop_under_load_loses_nothing_and_leaves_nobody(unit):
    u = unit()
    u.start()
    with u.load() as load:
        busy(load)
        systemctl("--no-block", "stop", UNIT)
        u.consul.wait(
            u.service, lambda entries: not [e for e in entries if is_passing(e)], what="out of every balancer"
        )
        load.stop()
    until(lambda: u.shown("ActiveState") == "inactive", 30, "stopped")
    assert not load.lost and not load.refused and load.answered > 8
    assert u.shown("Result") == "success" and not u.processes()
    assert not u.consul.health(u.service)


def is_passing(entry):
    return all(check["Status"] == "passing" for check in entry["Checks"])


def test_the_stock_unit_is_warned_about_once_and_its_stop_loses_what_runs(unit):
    u = unit(drop_in=False)
    u.start()
    assert u.journal().count(WARNING) == 1
    with u.load() as load:
        busy(load)
        systemctl("stop", UNIT)
        load.join()
    print(f"stock unit: {sum(load.lost.values())} requests lost at the stop")
    assert sum(load.lost.values()) >= 5
    u.consul.wait_gone(u.service)


def test_a_killed_helper_is_back_and_the_unit_notices_nothing(unit):
    u = unit()
    u.start()
    old = u.helper()
    watch = Stopwatch(u.pid)
    os.kill(old, signal.SIGKILL)
    until(lambda: u.helper() != old, 3, "a new helper")
    assert watch.seconds(u.helper()) < 1.0
    assert u.shown("ActiveState") == "active" and u.shown("NRestarts") == "0"
    systemctl("stop", UNIT)
    assert u.shown("Result") == "success" and not u.consul.health(u.service)
