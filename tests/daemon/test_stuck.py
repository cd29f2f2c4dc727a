"""A pool that is stuck, in a real FPM: hung, stopped, or merely asleep, told apart while a request waits."""

import contextlib
import os
import signal
import threading
import time

import pytest
from support import fcgi
from support.clock import Stopwatch
from support.fpm import Fpm
from support.helper import Helper
from support.processes import is_stopped
from support.waiting import free_port, until

HANG_S = 2
ENDLESS = "<?php set_time_limit(0); for (;;) { }"
ASLEEP = "<?php sleep(60);"
BURNING_S = 1
BURNS_AND_ENDS = f"<?php $end = hrtime(true) + {BURNING_S} * 1e9; while (hrtime(true) < $end);"
SHORT_SLEEPS = "<?php for ($i = 0; $i < 6000; $i++) { usleep(10000); }"


@pytest.fixture(params=["unix", "tcp"])
def fpm(request, workdir):
    own = {"process.priority": 19} if os.geteuid() == 0 else {}
    own |= {"listen": f"127.0.0.1:{free_port()}"} if request.param == "tcp" else {}
    with Fpm(workdir, {"web": {"pm.max_children": 2, **own}}) as fpm:
        yield fpm


@pytest.fixture
def helper(workdir, fpm):
    pools = [{"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 2}]
    with Helper(workdir, pools, master={"pid": fpm.pid}, hang_timeout_ms=1000 * HANG_S) as helper:
        helper.wait_state("healthy")
        yield helper


@pytest.fixture
def send(fpm):
    """Sends requests that nobody reads, or whose answers are read in the background."""
    sockets = []

    def send(source, count=1, read=False):
        script = fpm.script(f"script{len(sockets)}.php", source)
        for _ in range(count):
            sockets.append(fcgi.connect(fpm.listen()))
            fcgi.send(sockets[-1], script)
            if read:
                threading.Thread(target=fcgi.finish, args=(sockets[-1],), daemon=True).start()

    yield send
    for sock in sockets:
        sock.close()


def test_workers_in_an_endless_loop_are_down_at_the_hang_timeout(helper, send, record_property):
    send(ENDLESS, 2)
    until(lambda: helper.pool()["workers"]["active"] == 2, what="both loop")
    time.sleep(HANG_S + 1)
    assert helper.pool()["state"] == "healthy", "nobody waits"
    watch = Stopwatch(helper.process.pid)
    send(ENDLESS)
    helper.wait_state("down", timeout=HANG_S + 4)
    took, own = watch.clock_s(), watch.seconds()
    record_property("hung_after_s", round(took, 2))
    assert helper.pool()["reason"].startswith("hung: ")
    assert took >= HANG_S - 0.1
    assert own <= HANG_S + 2, "one look of a second, and what the machine is late"
    assert helper.get("/live")[0] == helper.get("/haproxy/web")[0] == 503


def stays_saturated(helper, seconds):
    helper.wait_state("degraded")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pool = helper.pool()
        assert (pool["state"], pool["reason"]) == ("degraded", "saturated")
        time.sleep(0.05)
    assert helper.get("/live")[0] == 200
    assert " -> down" not in helper.log_text()


@pytest.mark.parametrize("source", [ASLEEP, SHORT_SLEEPS], ids=["asleep", "short_sleeps"])
def test_workers_that_sleep_are_never_down(helper, send, source):
    send(source, 3)
    stays_saturated(helper, HANG_S + 2)


def test_workers_that_burn_and_finish_are_never_down(helper, send):
    send(BURNS_AND_ENDS, 2 * (3 * HANG_S // BURNING_S + 3), read=True)
    stays_saturated(helper, 3 * HANG_S)


def test_stopped_workers_are_down_and_back_within_a_second_each(helper, fpm, send, record_property):
    workers = fpm.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(map(is_stopped, workers)), what="the workers are stopped")
        time.sleep(1)
        assert helper.pool()["state"] == "healthy", "nobody waits"
        send("<?php echo 1;")
        down = helper.wait_state("down", timeout=3)
        assert helper.pool()["reason"].startswith("stopped: ")
        watch = Stopwatch(helper.process.pid)
    finally:
        for pid in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    helper.wait_state("healthy", timeout=3)
    back = watch.seconds()
    record_property("stopped_down_s", round(down, 2))
    record_property("stopped_back_s", round(back, 2))
    assert down <= 1
    assert back <= 1
