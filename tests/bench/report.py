"""What a run found: tables and plots, printed for a terminal and written as docs/performance.md."""

import math
import os
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from support.fpm import BIN as FPM
from support.machine import machine
from support.wire import rows_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"


@dataclass
class Section:
    """One table of the report, what is to be said about it, and goals: (what, value, bound, met)."""

    title: str
    text: str
    heading: list
    rows: list = field(default_factory=list)
    goals: list = field(default_factory=list)
    plots: list = field(default_factory=list)

    def at_most(self, what, value, bound):
        self.goals.append((what, value, f"≤ {bound:g}", value <= bound))

    def at_least(self, what, value, bound):
        self.goals.append((what, value, f"≥ {bound:g}", value >= bound))

    def printed(self):
        lines = [f"\n{self.title}", *("  " + line for line in rows_of(self.heading, self.rows))]
        lines += [f"  {'met   ' if met else 'MISSED'} {what}: {v:.4g}, {bound}" for what, v, bound, met in self.goals]
        return "\n".join(lines)

    def markdown(self):
        def row(cells):
            return f"| {' | '.join(str(cell) for cell in cells)} |"

        parts = [f"## {self.title}", self.text]
        parts.append("\n".join([row(self.heading), "|---" * len(self.heading) + "|", *map(row, self.rows)]))
        if self.goals:
            words = {True: "met", False: "**missed**"}
            goals = [row([what, bound, f"{value:.4g}", words[met]]) for what, value, bound, met in self.goals]
            parts.append("\n".join([row(["goal", "bound", "measured", ""]), "|---|---|---|---|", *goals]))
        parts += [f"![{plot.title}](performance/{plot.name}.svg)" for plot in self.plots]
        return "\n\n".join(parts)


@dataclass
class Plot:
    """Lines over a logarithmic x axis; `series` maps a label to its points [(x, y), …]."""

    name: str
    title: str
    unit: str
    series: dict

    WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 260, 60, 150, 30, 40
    COLOURS = ("#2563eb", "#dc2626", "#059669", "#d97706")

    def svg(self):
        points = [point for line in self.series.values() for point in line]
        xs = sorted({x for x, _ in points})
        top = max(y for _, y in points) * 1.1 or 1
        width, height = self.WIDTH - self.LEFT - self.RIGHT, self.HEIGHT - self.TOP - self.BOTTOM
        span = math.log10(xs[-1] / xs[0]) or 1

        def at(x, y):
            return self.LEFT + width * math.log10(x / xs[0]) / span, self.TOP + height * (1 - y / top)

        def text(x, y, words, anchor="middle"):
            return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{words}</text>'

        parts = [text(self.LEFT, 18, f"{self.title}, {self.unit}", "start")]
        for step in range(5):
            value = top * step / 4
            _, y = at(xs[0], value)
            parts.append(f'<path d="M{self.LEFT} {y:.0f}h{width}" stroke="#8884"/>')
            parts.append(text(self.LEFT - 6, y + 4, f"{value:.3g}", "end"))
        parts += [text(at(x, 0)[0], self.HEIGHT - 20, f"{x:,}") for x in xs]
        for (label, line), colour in zip(self.series.items(), self.COLOURS, strict=False):
            places = [at(x, y) for x, y in line]
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
            parts.append(f'<g fill="{colour}">{text(places[-1][0] + 8, places[-1][1] + 4, label, "start")}</g>')
        style = 'font-family="sans-serif" font-size="12" fill="#777"'
        box = f'viewBox="0 0 {self.WIDTH} {self.HEIGHT}" width="{self.WIDTH}" height="{self.HEIGHT}"'
        return f'<svg xmlns="http://www.w3.org/2000/svg" {box} {style}>\n' + "\n".join(parts) + "\n</svg>\n"


def version_of(*command):
    output = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d+[.\d]*", output.stdout + output.stderr)
    return found[0] if found else "unknown"


def setting():
    """What the figures depend on."""
    programs = {
        "HAProxy": ("haproxy", "-v"), "nginx": ("nginx", "-v"), "PHP": (FPM, "-v"), "wrk": ("wrk", "-v"),
        "Consul": (os.environ["SVCREG_CONSUL_BINARY"], "version"),
    }  # fmt: skip
    versions = ", ".join(f"{name} {version_of(*command)}" for name, command in programs.items())
    return f"{machine()}, {versions}."


def is_of_here():
    """Whether the page was measured on this machine, with these programs: only then it may come from several runs."""
    return PAGE.exists() and setting() in PAGE.read_text()


def write(sections, options, busy):
    """docs/performance.md and its plots, from nothing."""
    PLOTS.mkdir(exist_ok=True)
    for old in PLOTS.glob("*.svg"):
        old.unlink()
    draw(sections)
    words = (Path(__file__).parent / "preface.md").read_text()
    noise = f"The load average of the machine was {busy[0]:.1f} when the run began and {busy[1]:.1f} when it ended."
    if options.quick:
        noise += " **This was a quick run:** short rounds, few of them, and only some of the cases."
    head = words.format(machine=setting(), rounds=options.rounds, noise=noise).strip()
    PAGE.write_text(joined([head, *(section.markdown() for section in sections)]))


def renew(sections):
    """The parts of the page that are about these sections, and their plots."""
    draw(sections)
    anew = {section.title: section.markdown() for section in sections}
    head, *parts = re.split(r"\n\n(?=## )", PAGE.read_text().strip())
    parts = [anew.pop(part.split("\n", 1)[0].removeprefix("## "), part) for part in parts]
    PAGE.write_text(joined([head, *parts, *anew.values()]))


def draw(sections):
    for plot in (plot for section in sections for plot in section.plots):
        (PLOTS / f"{plot.name}.svg").write_text(plot.svg())


def joined(parts):
    return "\n\n".join(parts) + "\n"
