"""The table of docs/failover.md, made of the results of all runs."""

import json
import os
import platform
import re
import statistics
from pathlib import Path

from cases import CASES
from judge import broken, show

LATE_S = 0.1  # worth a word: what is slow then may be so of the machine's own
BEGIN, END = "<!-- figures: written by script/chaos --report -->", "<!-- end of figures -->"


def line(figures):
    """The figures of one run, for the terminal."""
    text = f"{figures['requests']} requests, failed {figures['failed_idempotent']} GET {figures['failed_other']} POST"
    if figures["kinds"]:
        text += f" {figures['kinds']}"
    text += f", window {show(figures['window'])} s, slow {figures['slow']}"
    if figures["last_slow"] is not None:
        text += f" (last at {figures['last_slow']:+.2f} s, slowest {figures['slowest']:.1f} s)"
    if figures["victims"]:
        text += f", out of Consul {show(figures['out_of_consul'])} s"
        text += f", out of the balancer {show(figures['out_of_balancer'])} s"
    if figures["generator_late"] > LATE_S:
        text += f", the generator itself up to {show(figures['generator_late'])} s late"
    if "late_heartbeats" in figures:
        text += f", {figures['late_heartbeats']} heartbeats late, {figures['removals']} nodes taken out for it"
    if figures["back"] is not None:
        text += f", back {show(figures['back'])} s"
    return text


def request_line(one):
    """A request that failed or was slow, as the evidence has it."""
    what = one["failure"] or f"{one['latency']:.2f} s"
    late = f", sent {one['begun']:.3f} s late" if one["begun"] > LATE_S else ""
    due = f"{one['kind']} due at {one['start']:+.2f} s"
    return f"{due}: {what}, by {one['node'] or 'nobody'}{late}; balancer: {one['balancer']}"


def spread(values):
    """min/median/max; one value if all are the same"""
    if not values:
        return "–"
    if None in values:
        never = values.count(None)
        return "never" if never == len(values) else f"never in {never} of {len(values)}"
    low, middle, high = min(values), statistics.median(values), max(values)
    texts = [
        show(int(value) if isinstance(value, float) and value == int(value) else value) for value in (low, middle, high)
    ]
    return texts[0] if len(set(texts)) == 1 else "/".join(texts)


def recall(file, case):
    """-> a result that was kept, held against what is promised now"""
    result = json.loads(file.read_text())
    return result | {"broken": broken(result["figures"], case.promise)}


def read(directory):
    """-> {case name: its results}, in the order of the cases"""
    found = {}
    for name, case in CASES.items():
        files = sorted(Path(directory, name).glob("*.json"), key=lambda file: int(file.stem))
        if files:
            found[name] = [recall(file, case) for file in files]
    return found


def row(case, results):
    figures = [result["figures"] for result in results]

    def column(name, wanted=True):
        return spread([one[name] for one in figures]) if wanted else "–"

    kept = sum(not result["broken"] for result in results)
    victims = any(one["victims"] for one in figures)
    verdict = f"fails {len(results) - kept} of {len(results)}" if case.control else f"{kept} of {len(results)}"
    return [
        f"{case.about} (`{case.name}`)",
        f"{sum(one['requests'] for one in figures):,}",
        column("failed_idempotent"),
        column("failed_other"),
        column("window"),
        column("slow"),
        column("out_of_consul", victims),
        column("out_of_balancer", victims),
        column("back", case.promise.back is not None or any(one["back"] is not None for one in figures)),
        verdict,
    ]


HEAD = [
    "case", "requests", "GET failed", "POST failed", "window, s", "slow", "out of Consul, s", "out of the balancer, s",
    "back, s", "gate passed",
]  # fmt: skip


def table(results, kind):
    rows = [row(CASES[name], runs) for name, runs in results.items() if CASES[name].kind == kind]
    lines = [HEAD, ["---"] * len(HEAD), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) if rows else "Not run."


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cpu = model[1] if model else platform.machine()
    return f"{os.cpu_count()} CPUs ({cpu}), {memory_gb:.0f} GB, Linux {platform.release()}"


def render(results):
    runs = sum(len(one) for one in results.values())
    duplicates = sum(result["figures"]["duplicates"] for one in results.values() for result in one)
    ghosts = sum(
        result["figures"]["ghosts"] for name, one in results.items() if not CASES[name].control for result in one
    )
    late = max((result["figures"]["generator_late"] for one in results.values() for result in one), default=0.0)
    parts = [
        f"Measured on {machine()}, everything on that one machine; {runs} runs. "
        f"POSTs done twice: {duplicates}; ghosts left by ours: {ghosts}. "
        f"The load generator itself was at most {show(late)} s late.",
        "Where there are three figures they are minimum/median/maximum over the runs of a case.",
    ]
    for kind, title in (
        ("planned", "Planned changes"),
        ("unplanned", "Unplanned failures"),
        ("control", "Negative controls: each has to fail the gate of the case it repeats"),
    ):
        parts += [f"### {title}", table(results, kind)]
    return "\n\n".join(parts)


def write(directory, page):
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{render(read(directory))}\n\n{END}{after}")
