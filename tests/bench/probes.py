"""Probe answers: how many a second, how soon, and what one costs."""

import contextlib
import statistics
import subprocess
from pathlib import Path

from support import fcgi
from support.helper import BIN as FPM_HEALTH
from support.waiting import until
from support.wire import percentile

from . import servers
from .measure import GENERATOR_CORE, Cpu, brief, empty_call_ns, pinned, spread, system_calls
from .report import Plot, Section

CONNECTIONS = 16
MODES = {"keep-alive": "X-Mode: keep", "new connection": "Connection: close"}
SCRIPT = Path(__file__).parent / "percentiles.lua"


def load(url, mode, seconds, connections=CONNECTIONS):
    """wrk on its own core; returns its figures by name."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT, "-H", MODES[mode], url]
    output = subprocess.run(pinned(GENERATOR_CORE, command), check=True, capture_output=True, text=True).stdout
    figures = {name: float(value) for name, value in (line.split() for line in output.splitlines()[-6:])}
    assert figures["answers"] > 0 and figures["errors"] == 0, output
    return figures


def measured(server, mode, seconds):
    """One round: answers a second of wall and of CPU time, user and system µs an answer, latencies in ms."""
    before = Cpu.of(server.pid)
    figures = load(server.url, mode, seconds)
    used, answers = Cpu.of(server.pid) - before, figures["answers"]
    return {
        "rate": answers / figures["duration_us"] * 1e6,
        "cpu": used.total / answers * 1e6,
        "user": used.user / answers * 1e6,
        **{name: figures[f"{name}_us"] / 1000 for name in ("p50", "p99", "p999")},
    }


def interleaved(contestants, rounds, seconds):
    """{(server's name, mode): [figures of each round]}: in each round everyone once in each mode, one after another."""
    found = {}
    for number in range(rounds):
        for mode in MODES:
            for server in contestants[number % len(contestants) :] + contestants[: number % len(contestants)]:
                found.setdefault((server.name, mode), []).append(measured(server, mode, seconds))
    return found


def of(rounds, key):
    return [figures[key] for figures in rounds]


def ratio(rounds, base, key):
    return [mine[key] / theirs[key] for mine, theirs in zip(rounds, base, strict=True)]


def share(rounds, base, key):
    """Of sums: the kernel samples user time, and single rounds have few samples."""
    return sum(of(rounds, key)) / max(sum(of(base, key)), 1e-9)


def rate(options, directory):
    """Side by side with what else could answer a probe."""
    section = Section(
        "Probe answers, one thread each",
        "wrk on one core, the server on the other, 16 connections. *Answers/CPU s* is what the server's core could "
        "give if the generator were no limit; the ratio to HAProxy is made within each round.",
        ["server", "connections", "answers/s", "ratio to HAProxy", "answers/CPU s", "ratio to HAProxy",
         "µs CPU an answer", "of it user", "p50 ms", "p99 ms", "p99.9 ms"],
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        fpm, pools = stack.enter_context(servers.fpm_with(directory, 1, **{"pm.max_children": 4, "ping.path": "/ping"}))
        base = stack.enter_context(servers.haproxy(directory))
        contestants = [
            base,
            stack.enter_context(servers.nginx(directory)),
            stack.enter_context(
                servers.nginx(directory, fpm.listen("p0000"), path="/ping", name="nginx → FPM `ping.path`")
            ),
            stack.enter_context(servers.fpm_health(directory / "ours", pools)),
        ]
        ours = contestants[-1]
        found = interleaved(contestants, options.rounds, options.seconds)
        for mode in MODES:
            base_rounds = found[base.name, mode]
            for server in contestants:
                rounds = found[server.name, mode]
                inverse = [1 / r for r in ratio(rounds, base_rounds, "cpu")]
                section.rows.append([
                    server.name, mode, spread(of(rounds, "rate")), spread(ratio(rounds, base_rounds, "rate")),
                    spread(1e6 / cpu for cpu in of(rounds, "cpu")), spread(inverse), spread(of(rounds, "cpu")),
                    brief(statistics.mean(of(rounds, "user"))),
                    *(spread(of(rounds, name)) for name in ("p50", "p99", "p999")),
                ])  # fmt: skip
            rounds = found[ours.name, mode]
            inverse = statistics.median(1 / r for r in ratio(rounds, base_rounds, "cpu"))
            faster = statistics.median(ratio(rounds, base_rounds, "rate"))
            section.at_least(f"answers/s, {mode}, ÷ HAProxy's", faster, 1)
            section.at_least(f"answers/CPU s, {mode}, ÷ HAProxy's", inverse, 1)
            section.at_most(f"user CPU an answer, {mode}, ÷ HAProxy's", share(rounds, base_rounds, "user"), 0.25)
        for name, keep, new in EXPORTERS:
            section.rows.append([name, "keep-alive", "", keep, *[""] * 7])
            section.rows.append([name, "new connection", "", new, *[""] * 7])
    return section


EXPORTERS = (
    ("hipages/php-fpm_exporter ¹", "0.011", "0.057"),
    ("Lusitaniae/phpfpm_exporter ¹", "0.016", "0.089"),
    ("bakins/php-fpm-exporter ¹", "0.041", "0.198"),
)


def calls(options, directory):
    """System calls and instructions an answer."""
    section = Section(
        "Where the time goes",
        "System calls of one answer (strace -c, 16 connections that are always busy), and instructions in user space "
        "between them (callgrind, all that fpm-health runs for a connection; half of them read the request's head). "
        "What is left is the kernel's, and that is TCP: what a system call costs by itself stands below. "
        "A connection is accepted together with its request (TCP_DEFER_ACCEPT), so that neither a read in vain nor "
        "epoll is needed, and its last answer leaves in one packet with the end (MSG_MORE before close). io_uring "
        "could save no more than the calls themselves cost, and Docker's default seccomp profile forbids it: not used.",
        ["server", "connections", "system calls an answer", "which"],
    )
    seconds = 1
    with contextlib.ExitStack() as stack:
        _, pools = stack.enter_context(servers.fpm_with(directory, 1))
        contestants = [
            stack.enter_context(servers.haproxy(directory)),
            stack.enter_context(servers.nginx(directory)),
            stack.enter_context(servers.fpm_health(directory / "ours", pools)),
        ]
        for mode, bound in zip(MODES, (2.2, 5), strict=True):
            for server in contestants:
                made, figures = system_calls(server.pid, lambda s=server, m=mode: load(s.url, m, seconds))
                answers, names = figures["answers"], sorted(made, key=made.get, reverse=True)
                which = ", ".join(f"{name} {made[name] / answers:.2f}" for name in names if made[name] > answers / 100)
                section.rows.append([server.name, mode, f"{sum(made.values()) / answers:.2f}", which])
                if server is contestants[-1]:
                    section.at_most(f"system calls an answer, {mode}", sum(made.values()) / answers, bound)
        section.rows.append(["an empty system call", "", "1", f"{empty_call_ns(directory):.0f} ns of CPU"])
        if not options.quick:
            for mode in MODES:
                count = instructions(directory / f"callgrind-{mode.split()[0]}", pools, mode)
                section.rows.append(["fpm-health", mode, "", f"{count:,.0f} instructions in user space"])
    return section


def instructions(directory, pools, mode, asked=500):
    """Of one answer, under callgrind: the difference of two runs that differ in nothing but the number of answers."""
    few = 10
    folders = {count: directory.with_name(f"{directory.name}-{count}") for count in (few, asked)}
    totals = {count: instructions_of(folder, pools, mode, count) for count, folder in folders.items()}
    return (totals[asked] - totals[few]) / (asked - few)


def instructions_of(directory, pools, mode, count):
    directory.mkdir()
    port, out = servers.free_port(), directory / "callgrind.out"
    config = {"node": "n", "instance": "i", "pools": pools, "run_dir": str(directory), "log": str(directory / "log"),
              "health_listen": [f"127.0.0.1:{port}"], "consul": {"url": "off"}}  # fmt: skip
    servers.write_json(directory / "config.json", config)
    entered = ["on_conn", "on_listener"]
    command = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
    command += [f"--toggle-collect={function}" for function in entered]
    command += [FPM_HEALTH, "serve", "--config", str(directory / "config.json")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}/live"
    try:
        probe = ["curl", "-sf", "-o", "/dev/null", url]
        until(lambda: subprocess.run(probe, check=False).returncode == 0, 60, "fpm-health answers under callgrind", 0.1)
        many = [part for _ in range(count) for part in ("-o", "/dev/null", url)]
        subprocess.run(["curl", "-sf", "-H", MODES[mode], *many], check=True)
    finally:
        process.terminate()
        process.wait(60)
    return int(next(line for line in out.read_text().splitlines() if line.startswith("totals:")).split()[1])


@contextlib.contextmanager
def busy(fpm, pool, count):
    """Every worker sleeps in a request, and as many requests wait."""
    script = fpm.script("sleep.php", "<?php sleep(600);")
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            fcgi.send(stack.enter_context(fcgi.connect(fpm.listen(pool))), script)
        yield


def pools(options, directory):
    """The same with all workers busy, and with more pools."""
    section = Section(
        "Probe answers: busy workers, many pools",
        "`/ready/POOL` of fpm-health, side by side. *paced* is 2,000 probes one after another, each timed alone by a "
        "client in Python: what a prober sees that does not try to saturate anything.",
        ["fpm-health with", "connections", "answers/s", "answers/CPU s", "ratio to 1 pool", "p99 ms", "paced p99 ms"],
    )
    counts = (1, 100) if options.quick else (1, 10, 100, 1000)
    with contextlib.ExitStack() as stack:
        contestants = []
        for count in counts:
            folder = servers.folder_in(directory, str(count))
            fpm, listed = stack.enter_context(servers.fpm_with(folder, count))
            last = servers.pool_names(count)[-1]
            name = f"{count:,} pool{'s' if count > 1 else ''}"
            contestants.append(
                stack.enter_context(
                    servers.fpm_health(folder / "ours", listed, name, path=f"/ready/{last}", master={"pid": fpm.pid})
                )
            )
        folder = servers.folder_in(directory, "busy")
        fpm, listed = stack.enter_context(servers.fpm_with(folder, 1, **{"pm.max_children": 4}))
        name = "1 pool, all 4 workers busy, 8 requests queued"
        contestants.append(stack.enter_context(servers.fpm_health(folder / "ours", listed, name, path="/ready/p0000")))
        stack.enter_context(busy(fpm, "p0000", 12))
        contestants[-1].helper.wait_state("degraded", "p0000")
        found = interleaved(contestants, options.rounds, options.seconds)
        one = contestants[0]
        series = {mode: [] for mode in MODES}
        for mode in MODES:
            base = found[one.name, mode]
            for server in contestants:
                rounds = found[server.name, mode]
                inverse = [1 / r for r in ratio(rounds, base, "cpu")]
                paced = percentile(paced_ms(server), 0.99)
                section.rows.append([
                    server.name, mode, spread(of(rounds, "rate")), spread(1e6 / cpu for cpu in of(rounds, "cpu")),
                    spread(inverse), spread(of(rounds, "p99")), brief(paced),
                ])  # fmt: skip
                if server is contestants[-1]:
                    section.at_most(f"p99 ms with all workers busy, {mode}", paced, 5)
                elif server is contestants[-2]:
                    name = f"answers/CPU s with {server.name}, {mode}, ÷ one's"
                    section.at_least(name, statistics.median(inverse), 0.9)
            for count, server in zip(counts, contestants, strict=False):
                costs = of(found[server.name, mode], "cpu")
                series[mode].append((count, statistics.median(1e3 / cpu for cpu in costs)))
        section.plots.append(Plot("answers-by-pools", "Answers by pools", "thousands a CPU second", series))
    return section


def paced_ms(server, count=2000):
    """Milliseconds of probes that follow one another on one connection."""
    import http.client
    import time

    took = []
    host, _, rest = server.url.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host)
    for _ in range(count):
        begin = time.perf_counter()
        connection.request("GET", f"/{rest}")
        answer = connection.getresponse()
        answer.read()
        took.append(1000 * (time.perf_counter() - begin))
        assert answer.status in (200, 503)
    connection.close()
    return took
