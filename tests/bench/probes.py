"""Probe answers: how many a second, how soon, and what one costs."""

import contextlib
import os
import statistics
import subprocess
from pathlib import Path

from support import fcgi
from support.cpu import cpu_s
from support.waiting import until
from support.wire import percentile

from . import servers
from .measure import (
    GENERATOR_CORE,
    SERVER_CORE,
    brief,
    empty_call_ns,
    pinned,
    spread,
    system_calls,
    user_shares,
)
from .report import Plot, Section

CONNECTIONS = 16
MODES = {"keep-alive": "X-Mode: keep", "new connection": "Connection: close"}
SCRIPT = Path(__file__).parent / "percentiles.lua"


def load(url, mode, seconds, connections=CONNECTIONS):
    """wrk on its own core; returns its figures by name."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", SCRIPT, "-H", MODES[mode], url]
    before = os.times()
    output = subprocess.run(pinned(GENERATOR_CORE, command), check=True, capture_output=True, text=True).stdout
    after = os.times()
    figures = {name: float(value) for name, value in (line.split() for line in output.splitlines()[-6:])}
    figures["generator_s"] = sum(after[2:4]) - sum(before[2:4])
    assert figures["answers"] > 0 and figures["errors"] == 0, output
    return figures


def measured(server, mode, seconds):
    """One round: answers a second, µs of CPU an answer, how busy both cores were (of 1), latencies in ms."""
    before = cpu_s(server.pid)
    figures = load(server.url, mode, seconds)
    used, took = cpu_s(server.pid) - before, figures["duration_us"] / 1e6
    return {
        "rate": figures["answers"] / took,
        "cpu": used / figures["answers"] * 1e6,
        "server": used / took,
        "generator": figures["generator_s"] / took,
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


SAME = "HAProxy, an answer as long as ours"


def rate(options, directory):
    """Side by side with what else could answer a probe."""
    section = Section(
        "Probe answers, one thread each",
        "wrk on one core, the server on the other, 16 connections. *Answers/CPU s* is what the server's core "
        "could give if the generator were no limit; the ratio to HAProxy is made within each round. *Cores busy* "
        "says who was the limit: where wrk's is and the server's is not, answers/s are what wrk can take, and a "
        "longer answer costs it more: hence HAProxy's second row.",
        ["server", "connections", "answers/s", "ratio to HAProxy", "answers/CPU s", "ratio to HAProxy",
         "µs CPU an answer", "cores busy: server, wrk", "p50 ms", "p99 ms", "p99.9 ms"],
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        fpm, pools = stack.enter_context(servers.fpm_with(directory, 1, **{"pm.max_children": 4, "ping.path": "/ping"}))
        base = stack.enter_context(servers.haproxy(directory))
        contestants = [
            base,
            stack.enter_context(servers.haproxy(directory, SAME, servers.LIKE_OURS)),
            stack.enter_context(servers.nginx(directory)),
            stack.enter_context(
                servers.nginx(directory, fpm.listen("p0000"), path="/ping", name="nginx → FPM `ping.path`")
            ),
            stack.enter_context(servers.fpm_health(directory / "ours", pools)),
        ]
        ours = contestants[-1]
        found = interleaved(contestants, options.rounds, options.seconds)
        lengths = {server.name: len(subprocess.check_output(["curl", "-si", server.url])) for server in contestants}
        assert lengths[ours.name] == lengths[SAME], lengths
        section.text += f" It has {lengths[SAME]} bytes, its first {lengths[base.name]}."
        for mode in MODES:
            base_rounds = found[base.name, mode]
            for server in contestants:
                rounds = found[server.name, mode]
                inverse = [1 / r for r in ratio(rounds, base_rounds, "cpu")]
                section.rows.append([
                    server.name, mode, spread(of(rounds, "rate")), spread(ratio(rounds, base_rounds, "rate")),
                    spread(1e6 / cpu for cpu in of(rounds, "cpu")), spread(inverse), spread(of(rounds, "cpu")),
                    ", ".join(f"{statistics.median(of(rounds, who)):.0%}" for who in ("server", "generator")),
                    *(spread(of(rounds, name)) for name in ("p50", "p99", "p999")),
                ])  # fmt: skip
            rounds = found[ours.name, mode]
            inverse = statistics.median(1 / r for r in ratio(rounds, base_rounds, "cpu"))
            faster = statistics.median(ratio(rounds, base_rounds, "rate"))
            section.at_least(f"answers/s, {mode}, ÷ HAProxy's", faster, 1)
            section.at_least(f"answers/CPU s, {mode}, ÷ HAProxy's", inverse, 1)
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
    """System calls, user CPU and instructions an answer."""
    section = Section(
        "Where the time goes",
        "",
        ["server", "connections", "system calls an answer", "which", "µs CPU an answer", "of it user", "÷ HAProxy's",
         "of that not at a call's return", "÷ HAProxy's", "instructions in user space", "÷ HAProxy's"],
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        _, pools = stack.enter_context(servers.fpm_with(directory, 1))
        contestants = [
            stack.enter_context(servers.haproxy(directory)),
            stack.enter_context(servers.nginx(directory)),
            stack.enter_context(servers.fpm_health(directory / "ours", pools)),
        ]
        base, ours = contestants[0], contestants[-1]
        sampled, ours_counted = user_cpu(contestants, options, directory), {}
        for mode, bound in zip(MODES, (2.2, 5), strict=True):
            counted = {} if options.quick else instructions(directory, pools, mode)
            for server in contestants:
                made, figures = system_calls(server.pid, lambda s=server, m=mode: load(s.url, m, 1))
                answers, names = figures["answers"], sorted(made, key=made.get, reverse=True)
                which = ", ".join(f"{name} {made[name] / answers:.2f}" for name in names if made[name] > answers / 100)
                rounds, base_rounds = sampled[server.name, mode], sampled[base.name, mode]
                shares, count = ratio(rounds, base_rounds, "user"), counted.get(server.name)
                own = spread(ratio(rounds, base_rounds, "own"))
                section.rows.append([
                    server.name, mode, f"{sum(made.values()) / answers:.2f}", which, spread(of(rounds, "cpu")),
                    spread(of(rounds, "user")), spread(shares), spread(of(rounds, "own")), own,
                    brief(count) if count else "", brief(count / counted[base.name]) if count else "",
                ])  # fmt: skip
                if server is ours:
                    ours_counted |= {mode: count} if count else {}
                    section.at_most(f"system calls an answer, {mode}", sum(made.values()) / answers, bound)
                    section.at_most(f"user CPU an answer, {mode}, ÷ HAProxy's", statistics.median(shares), 0.25)
        empty_us = empty_call_ns(directory) / 1000
        section.rows.append(["an empty system call", "", "1", "", f"{empty_us:.2g}", *[""] * 6])
    section.text = where_it_goes({mode: sampled[ours.name, mode] for mode in MODES}, ours_counted, empty_us)
    return section


def where_it_goes(sampled, counted, empty_us):
    """What the table says, in words."""
    words = (Path(__file__).parent / "time.md").read_text().strip()
    medians = {
        key: {mode: brief(statistics.median(of(rounds, key))) for mode, rounds in sampled.items()}
        for key in ("cpu", "user", "own")
    }
    told = " and ".join(f"{count:,.0f}" for count in counted.values())
    instructions = f"In instructions that is {told}. " if told else ""
    empty = {f"empty_{count}": f"{count * empty_us:.2g}" for count in (2, 4)}
    return words.format(**medians, **empty, instructions=instructions)


def user_cpu(contestants, options, directory):
    """As interleaved(): µs of CPU an answer, of them outside the kernel, and of those not at a call's return."""
    found = {}
    for number in range(options.rounds):
        for mode in MODES:
            for server in contestants[number % len(contestants) :] + contestants[: number % len(contestants)]:
                before = cpu_s(server.pid)
                user, own, figures = user_shares(
                    server.pid, directory, lambda s=server, m=mode: load(s.url, m, options.seconds)
                )
                cpu = (cpu_s(server.pid) - before) / figures["answers"] * 1e6
                row = {"cpu": cpu, "user": cpu * user, "own": cpu * own}
                found.setdefault((server.name, mode), []).append(row)
    return found


def instructions(directory, pools, mode):
    """
    Of one answer, by server, counted by callgrind, which minds no other load: all that HAProxy runs, and what
    fpm-health runs for a connection, for it also looks at FPM meanwhile.
    """
    folder = servers.folder_in(directory, f"callgrind-{mode.split()[0]}")
    commands = {
        "HAProxy `return 200`": (*servers.haproxy_command(folder, servers.SHORT), "/", ()),
        "fpm-health": (*servers.fpm_health_command(folder, pools), "/live", ("on_conn", "on_listener")),
    }
    return {name: instructions_of(folder, *command, mode) for name, command in commands.items()}


def instructions_of(directory, command, port, path, entered, mode):
    """From two runs that differ in nothing but the number of answers."""
    url, counts = f"http://127.0.0.1:{port}{path}", []
    callgrind = ["valgrind", "-q", "--tool=callgrind", *(f"--toggle-collect={function}" for function in entered)]
    for seconds in (1, 4):
        out = directory / f"{port}.{seconds}"
        process = subprocess.Popen(
            pinned(SERVER_CORE, [*callgrind, f"--callgrind-out-file={out}", *command]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            probe = ["curl", "-sf", "-o", "/dev/null", url]
            until(lambda p=probe: subprocess.run(p, check=False).returncode == 0, 120, "an answer under callgrind", 0.1)
            answers = load(url, mode, seconds)["answers"]
        finally:
            process.terminate()
            process.wait(60)
        totals = next(line for line in out.read_text().splitlines() if line.startswith("totals:"))
        counts.append((answers, int(totals.split()[1])))
    (few, before), (many, after) = counts
    return (after - before) / (many - few)


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
