"""
What the usual probers of PHP-FPM cost, and how far one stuck pool reaches, measured again for ours with the same pools.

The figures of the others are constants, measured side by side before this project began (PHP-FPM 8.2, 4 static workers,
2 shared CPUs): the hipages, Lusitaniae and bakins exporters, php-fpm-healthcheck, nginx in front of FPM's /ping.
"""

import os
import resource
import shutil
import signal
import subprocess
import time

import pytest
from support import fcgi, wire
from support.cpu import cpu_s
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.waiting import until

POOLS = 50
SCRAPES = 10_000
PUBLISHED_IDLE = [  # who, ms an answer, own CPU ms, RSS MB fresh and after 10,000 scrapes
    ["hipages exporter", "1.3–2.0", "1.5–1.9", "11.4 → 18.0"],
    ["Lusitaniae exporter", "1.3–1.5", "1.3–1.4", "9.0 → 15.8"],
    ["bakins exporter", "0.8", "0.7", "8.5 → 15.4"],
    ["php-fpm-healthcheck", "18.7", "10–19", "-"],
    ["nginx → FPM /ping", "0.4", "0.2", "-"],
]
SCRAPE_MAX_MS, SCRAPE_MAX_CPU_MS, GROWTH_MAX_KB = 0.8, 0.7, 512  # the best exporter's; and no growth worth the name


@pytest.fixture
def health(workdir):
    return str(workdir / "health.sock")


def pools_of(fpm, workers):
    return [{"name": n, "listen": fpm.listen(n), "pm": "static", "max_children": workers} for n in fpm.pools]


def rss_kb(helper):
    return int(helper.proc("status").split("VmRSS:")[1].split()[0])


def test_a_scrape_of_an_idle_pool_costs_less_than_any_exporters(workdir, health, show):
    with Fpm(workdir, {"web": {"pm.max_children": 4}}) as fpm:
        with Helper(workdir, pools_of(fpm, 4), master={"pid": fpm.pid}) as helper:
            helper.wait_state("healthy")
            wire.latencies_ms(health, wire.get("/metrics"), 10)
            fresh, before = rss_kb(helper), cpu_s(helper.process.pid)
            took = wire.latencies_ms(health, wire.get("/metrics"), SCRAPES, pids=[helper.process.pid])
            cpu, grown = 1000 * (cpu_s(helper.process.pid) - before) / SCRAPES, rss_kb(helper)
            ours = ["fpm-health /metrics", f"{wire.percentile(took, 0.5):.2f}", f"{cpu:.3f}"]
            ours += [f"{fresh / 1024:.1f} → {grown / 1024:.1f}"]
            heading = ["idle, 4 workers", "ms an answer", "own CPU ms", "RSS MB, fresh → after 10,000"]
            show("What a scrape costs", heading, [*PUBLISHED_IDLE, ours])
            assert wire.percentile([one.own for one in took], 0.5) < SCRAPE_MAX_MS
            assert cpu < SCRAPE_MAX_CPU_MS
            if "libasan" not in helper.proc("maps"):
                assert grown - fresh <= GROWTH_MAX_KB


def test_a_saturated_pool_is_told_each_time_where_others_hang_and_queue_up(workdir, health, show):
    asked, cgi_fcgi = 30, shutil.which("cgi-fcgi")
    assert cgi_fcgi, "libfcgi-bin is missing"
    with Fpm(workdir, {"web": {"pm.max_children": 4}}) as fpm:
        script = fpm.script("sleep.php", "<?php sleep(20);")
        with Helper(workdir, pools_of(fpm, 4), master={"pid": fpm.pid}) as helper:
            helper.wait_state("healthy")
            sockets = [fcgi.connect(fpm.listen()) for _ in range(12)]
            for sock in sockets:
                fcgi.send(sock, script)
            helper.wait_state("degraded")
            before = wire.kernel_queue(fpm.listen())
            took = wire.latencies_ms(
                health, wire.get("/consul/web"), asked, lambda a: b" 429 " in a, [helper.process.pid]
            )
            ours = wire.kernel_queue(fpm.listen())

            environment = {"SCRIPT_NAME": "/ping", "SCRIPT_FILENAME": "/ping", "REQUEST_METHOD": "GET"}
            command = [cgi_fcgi, "-bind", "-connect", fpm.listen()]
            plain = [
                subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                for _ in range(10)
            ]
            until(lambda: wire.kernel_queue(fpm.listen()) == before + 10, what="cgi-fcgi queues up")
            time.sleep(1)
            answered = sum(process.poll() is not None for process in plain)
            for process in plain:
                process.kill()
                process.wait()
            for sock in sockets:
                sock.close()
            rows = [
                ["the exporters and php-fpm-healthcheck, published", "0 of 30", "more than 15 s", "8 → 18 by ten"],
                ["a plain cgi-fcgi, now", f"{answered} of 10", "more than 1 s", f"{before} → {before + 10} by ten"],
                [
                    "fpm-health",
                    f"{len(took)} of {asked}",
                    f"{max(took):.2f} ms at most",
                    f"{before} → {ours} by {asked}",
                ],
            ]
            show("4 × sleep(20), 8 queued", ["asked", "answered", "within", "FPM's queue"], rows)
            assert ours == before == 8
            assert answered == 0
            assert wire.in_time(took)


@pytest.mark.parametrize("how, state, up", [("asleep", "degraded", 1), ("stopped", "down", 0)])
def test_one_stuck_pool_of_fifty_hides_no_other(workdir, health, show, how, state, up):
    names = [f"p{i}" for i in range(POOLS)]
    with Fpm(workdir, {name: {"pm.max_children": 1} for name in names}) as fpm:
        script = fpm.script("sleep.php", "<?php sleep(30);")
        with Helper(workdir, pools_of(fpm, 1), master={"pid": fpm.pid}) as helper:
            for name in names:
                helper.wait_state("healthy", name)
            stuck = fpm.workers("p7")
            if how == "stopped":
                os.kill(stuck[0], signal.SIGSTOP)
            sockets = [fcgi.connect(fpm.listen("p7")) for _ in range(3)]
            for sock in sockets:
                fcgi.send(sock, script)
            helper.wait_state(state, "p7")

            took = wire.latencies_ms(health, wire.get("/metrics"), 1000, pids=[helper.process.pid])
            for _ in range(2):  # and the next scrape too
                metrics = wire.exchange(health, wire.get("/metrics")).decode()
                said = {n: wire.metric(metrics, "phpfpm_up", n) for n in names}
                healthy = [n for n in names if f'svcreg_state{{pool="{n}",state="healthy"}} 1' in metrics]
                assert len(healthy) == POOLS - 1 and "p7" not in healthy
                assert said == {n: up if n == "p7" else 1 for n in names}
            codes, wall, cpu = fifty_checks(helper, names)
            if how == "stopped":
                os.kill(stuck[0], signal.SIGCONT)
            for sock in sockets:
                sock.close()
            rows = [
                ["multi-pool exporters, published", "hangs, the next one too", "0 of 49", "-"],
                ["50 × php-fpm-healthcheck, published", "-", "-", "0.65 s, 0.4 s of CPU"],
                [
                    "fpm-health",
                    f"{wire.figures(took)[2]} ms p99",
                    f"{len(healthy)} of 49",
                    f"{wall:.2f} s, {cpu:.2f} s of CPU",
                ],
            ]
            show(f"50 pools, one {how}", ["", "a scrape", "healthy ones told", "50 checks"], rows)
            assert wire.in_time(took)
            assert codes == {n: (1 if state == "degraded" else 2) if n == "p7" else 0 for n in names}


def fifty_checks(helper, names):
    """Exit codes by pool; seconds in all, and of CPU, theirs and the helper's."""
    usage, own, begin = resource.getrusage(resource.RUSAGE_CHILDREN), cpu_s(helper.process.pid), time.monotonic()
    codes = {}
    for name in names:
        command = [BIN, "check", name, "--run-dir", str(helper.run_root)]
        codes[name] = subprocess.run(command, stdout=subprocess.DEVNULL, close_fds=False).returncode
    wall, after = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - usage.ru_utime - usage.ru_stime
    return codes, wall, cpu + cpu_s(helper.process.pid) - own
