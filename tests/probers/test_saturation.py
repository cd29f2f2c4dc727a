"""
Every worker asleep and a queue behind them: each prober is told so at once, and nothing of ours gets in line.

FPM's own status page is asked at the same moment: it has to wait for a worker like everybody else.
"""

import contextlib
import json
import time

import pytest
from support import fcgi, wire
from support.fpm import Fpm, Held
from support.helper import Helper, listens
from support.load import Load
from support.waiting import FULL, free_ports, until

WORKERS, QUEUED = 4, 8
PROBES = 10_000 if FULL else 2_000
STATUS_DEADLINE_S = 3

STATUS = "/fpm-status"


def contains(*parts):
    return lambda answer: all(part in answer for part in parts)


# How each prober asks, and what makes the answer one about a saturated pool: it serves, and is short of room.
DIALECTS = {
    "/": (wire.get("/"), contains(b"200 OK", b"text/html", b"</html>")),  # the page asks /status
    "/live": (wire.get("/live"), contains(b"200 OK", b"\r\n\r\nlive\n")),
    "/ready": (wire.get("/ready"), contains(b"200 OK", b"web degraded: saturated\n")),
    "/ready/web": (wire.get("/ready/web"), contains(b"200 OK", b"x-envoy-degraded: true", b"degraded: saturated")),
    "/health": (wire.get("/health"), contains(b"200 OK", b'"status":"warn"', b'"observedValue":"degraded"')),
    "/health/web": (wire.get("/health/web"), contains(b"200 OK", b'"status":"warn"', b'"output":"saturated"')),
    "/consul/web": (wire.get("/consul/web"), contains(b" 429 ", b"degraded: saturated")),
    "/haproxy/web": (b"OPTIONS /haproxy/web HTTP/1.0\r\n\r\n", contains(b"200 OK", b"degraded: saturated")),
    "/f5/web, HTTP/1.1": (wire.get("/f5/web"), contains(b"200 OK", b"state=ready\n")),
    "/f5/web, no version": (b"GET /f5/web\r\n", lambda answer: answer == b"state=ready\n"),
    "/metrics": (wire.get("/metrics"), contains(b'svcreg_state{pool="web",state="degraded"} 1')),
    "/status": (wire.get("/status"), contains(b'"state":"degraded","reason":"saturated"')),
}


@contextlib.contextmanager
def saturated(directory, listen, http, agent):
    """A healthy pool that is then overrun, until the Held is released: all workers asleep, and QUEUED more behind."""
    own = {"pm.max_children": WORKERS, "pm.status_path": STATUS, **({"listen": listen} if listen else {})}
    with Fpm(directory, {"web": own}) as fpm:
        held = Held(fpm)
        pools = [{"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": WORKERS}]
        with Helper(directory, pools, master={"pid": fpm.pid}, **listens(directory, http, agent)) as helper:
            helper.wait_state("healthy")
            fpm.accepted = accepted(fpm)  # the next ping is seconds away
            with Load(fpm.listen(), held.script, clients=WORKERS + QUEUED, timeout=120) as load:
                until(lambda: wire.kernel_queue(fpm.listen()) == QUEUED, what="the queue")
                helper.wait_state("degraded")
                yield fpm, helper, load, held
                fpm.kill()


@pytest.fixture(params=["unix", "tcp"])
def listen(request):
    """Where the pool listens; None is a unix socket of its own."""
    return f"127.0.0.1:{free_ports(1)[0]}" if request.param == "tcp" else None


def status_page(fpm, timeout):
    """FPM's own status, as JSON."""
    answer = fcgi.request(fpm.listen(), STATUS, "json", timeout=timeout, SCRIPT_NAME=STATUS)
    return json.loads(answer.body)


def accepted(fpm):
    """How many connections FPM says it has taken, this one among them."""
    return status_page(fpm, 10)["accepted conn"]


def true_queue(helper, fpm):
    """Everybody who counts agrees: the kernel, /status, /metrics and the plugin's performance data."""
    n = wire.kernel_queue(fpm.listen())
    metric = wire.metric(helper.get("/metrics")[2], "svcreg_listen_queue", "web") == QUEUED
    plugin = f"queue={QUEUED};;;" in helper.cli("check", "web").stdout
    return n == helper.pool()["queue"]["length"] == QUEUED and metric and plugin


def test_every_dialect_answers_in_time_with_the_truth_where_fpms_status_hangs(workdir, listen, show):
    http, agent = free_ports(2)
    with saturated(workdir, listen, http, agent) as (fpm, helper, *_):
        until(lambda: true_queue(helper, fpm), what="the true queue is told")
        asked = {name: (f"127.0.0.1:{http}", *rest) for name, rest in DIALECTS.items()}
        asked["agent-check"] = (f"127.0.0.1:{agent}", b"", lambda answer: answer == b"ready up 1%\n")
        check = contains(b"WARNING - web degraded: saturated |", b"active=4 idle=0 queue=")
        asked["check (Nagios)"] = (str(helper.run_dir / "control.sock"), wire.get("/check/web"), check)

        rows, late = [], []
        for name, (address, data, good) in asked.items():
            took = wire.latencies_ms(address, data, PROBES, good, [helper.process.pid])
            rows.append([name, str(PROBES), *wire.figures(took)])
            late += [] if wire.in_time(took) else [name]
        until(lambda: true_queue(helper, fpm), what="the true queue after all that")

        begin = time.monotonic()
        with pytest.raises(TimeoutError):
            status_page(fpm, STATUS_DEADLINE_S)
        waited = 1000 * (time.monotonic() - begin)
        rows.append([f"FPM's own {STATUS}", "1", f"none within {waited:.0f}", "", "", "", ""])
        title = f"{WORKERS} workers asleep, {QUEUED} queued on {fpm.listen()}; ms, a new connection each"
        show(title, ["asked", "times", *wire.FIGURES], rows)
        assert not late


def test_a_thousand_probes_leave_nothing_in_fpms_queue(workdir, listen, show):
    http, agent = free_ports(2)
    with saturated(workdir, listen, http, agent) as (fpm, helper, load, held):
        load.stop_soon()
        queue = wire.kernel_queue(fpm.listen())
        for data, good in DIALECTS.values():
            wire.latencies_ms(f"127.0.0.1:{http}", data, 1000 // len(DIALECTS), good)
        wire.latencies_ms(f"127.0.0.1:{agent}", b"", 1000 % len(DIALECTS))
        after = wire.kernel_queue(fpm.listen())
        helper.process.kill()  # now it can't take back what it might have left there
        helper.process.wait()
        held.release()
        load.join()
        taken = accepted(fpm) - fpm.accepted - 1  # the status request that tells
        show(
            f"1,000 probes while {QUEUED} wait on {fpm.listen()}",
            ["in the kernel's queue before", "after", "accepted by FPM since", "of these ours"],
            [[str(queue), str(after), str(taken), str(taken - load.answered)]],
        )
        assert queue == after == QUEUED
        assert taken == load.answered == WORKERS + QUEUED
