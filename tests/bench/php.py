"""What the extension costs PHP: instructions a request, and a real page's requests a second with and without."""

import contextlib
import os
import shutil
import statistics
import subprocess
import xml.etree.ElementTree as xml

from support.cpu import cpu_s
from support.node import Node
from support.waiting import until

from . import probes, servers
from .measure import GENERATOR_CORE, SERVER_CORE, pinned, spread
from .report import ROOT, Section

SIDES = {"without": {"svcreg.enabled": "0"}, "without again": {"svcreg.enabled": "0"}, "with": {}}


def requests(options, directory):
    section = Section(
        "What a PHP request pays",
        "The page of this repository (`src-www/index.php`) through nginx and FastCGI, two workers, opcache, FPM on "
        "one core and wrk on the other: with svcreg, without, and once more without, which shows how far two that "
        "differ in nothing lie apart. All are started anew for each round, of which there are twice as many as "
        "elsewhere: where the kernel put FPM's memory is chance, and lasts as long as FPM does. And the instructions "
        "that an empty request takes more with svcreg (callgrind; what FPM does between requests is left out).",
        ["", "without svcreg", "with svcreg", "with ÷ without", "without ÷ without: noise"],
    )
    rounds = [one_round(directory, number) for number in range(2 * options.rounds)]
    medians = {}
    for key, what in (("rate", "requests/s of a page"), ("cpu", "µs CPU of FPM a request")):
        without, again, with_it = ([figures[name][key] for figures in rounds] for name in SIDES)
        more = [mine / theirs for mine, theirs in zip(with_it, without, strict=True)]
        noise = [mine / theirs for mine, theirs in zip(again, without, strict=True)]
        section.rows.append([what, spread(without), spread(with_it), spread(more), spread(noise)])
        medians[key] = statistics.median(more)
    section.at_most("CPU of FPM a request, with ÷ without", medians["cpu"], 1.03)
    section.at_least("requests/s of a page, with ÷ without", medians["rate"], 0.97)
    if not options.quick:
        more = float(instructions(directory))
        section.rows.append(["instructions more, an empty request", "", f"{more:.0f}", "", ""])
        section.at_most("instructions a request", more, 100)
    return section


def one_round(directory, number):
    """Each side's requests/s and µs CPU a request, measured twice, there and back."""
    with contextlib.ExitStack() as stack:
        names = list(SIDES)[number % 3 :] + list(SIDES)[: number % 3]
        sides = [stack.enter_context(started(directory, name, number)) for name in names]
        for side in sides:  # caches are filled before anything counts
            probes.load(side.url, "keep-alive", 1, connections=4)
        found = {name: [] for name in SIDES}
        for side in sides + sides[::-1]:
            before = cpu_s(*side.fpm)
            figures = probes.load(side.url, "keep-alive", 1, connections=4)
            cost = (cpu_s(*side.fpm) - before) / figures["answers"] * 1e6
            found[side.name].append({"rate": figures["answers"] / figures["duration_us"] * 1e6, "cpu": cost})
    return {name: {key: statistics.mean(of[key] for of in both) for key in both[0]} for name, both in found.items()}


@contextlib.contextmanager
def started(directory, name, number):
    """nginx before an FPM of its own, all of FPM on the server's core; its processes are `side.fpm`."""
    folder = servers.folder_in(directory, f"{name.replace(' ', '-')}-{number}")
    copy = folder / "index.php"
    shutil.copy(ROOT / "src-www" / "index.php", copy)
    with Node(folder, "bench", None, ini=SIDES[name], pools={"web": {"pm.max_children": 2}}) as node:
        until(lambda: len(node.workers()) == 2, 10, "both workers")
        for pid in [node.pid, *node.workers()]:
            subprocess.run(["taskset", "-cp", str(SERVER_CORE), str(pid)], check=True, capture_output=True)
        with servers.nginx(folder, node.listen(), copy, "/page?plain", name) as side:
            side.fpm = [node.pid, *node.workers()]
            yield side


def instructions(directory):
    """The figure of the test that holds them to their bound."""
    out = directory / "overhead.xml"
    test = "tests/fpm/test_overhead.py::test_a_request_costs_at_most_100_instructions_more"
    command = ["/usr/bin/python3", "-m", "pytest", "-q", f"--junitxml={out}", test]
    subprocess.run(pinned(GENERATOR_CORE, command), cwd=ROOT, check=False, stdout=subprocess.DEVNULL, env=os.environ)
    found = xml.parse(out).find(".//property[@name='instructions_per_request_more']")
    assert found is not None, out.read_text()
    return found.attrib["value"]
