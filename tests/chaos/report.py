"""The tables of docs/failover.md, made of the results of all runs."""

import statistics
from collections import Counter

from cases import CASES
from judge import show

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


def where_and_when(runs):
    """On which machines, and on which days, of which revisions."""
    machines = Counter(run["machine"] for run in runs).most_common()
    told = machines[0][0] if len(machines) == 1 else "; ".join(f"{name} ({count} runs)" for name, count in machines)
    days = sorted({run["when"][:10] for run in runs})
    revisions = list(dict.fromkeys(run["revision"] for run in sorted(runs, key=lambda run: run["when"])))
    return (
        f"Measured on {told}, everything on that one machine, {' to '.join(dict.fromkeys((days[0], days[-1])))}; "
        f"{len(runs)} runs, of {', '.join(f'`{revision}`' for revision in revisions)}."
    )


def stops(results):
    """How long `docker stop` itself took, in those cases that say so."""
    took = {
        name: [run["figures"]["stop_took"] for run in runs]
        for name, runs in results.items()
        if "stop_took" in runs[0]["figures"]
    }
    told = ", ".join(f"{spread(values)} (`{name}`)" for name, values in took.items())
    return [f"`docker stop` itself took, in seconds: {told}."] if told else []


def render(results):
    runs = [run for one in results.values() for run in one]
    duplicates = sum(run["figures"]["duplicates"] for run in runs)
    ghosts = sum(run["figures"]["ghosts"] for run in runs if not CASES[run["case"]].control)
    late = max((run["figures"]["generator_late"] for run in runs), default=0.0)
    parts = [
        f"{where_and_when(runs) if runs else 'Not measured.'} "
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
    return "\n\n".join(parts + stops(results))


def write(results, page):
    text = page.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n\n{render(results.by_case())}\n\n{END}{after}")
