"""What the extension costs PHP: instructions a request, and a real page's requests a second with and without."""

import contextlib
import os
import shutil
import statistics
import subprocess
import xml.etree.ElementTree as xml

from support.node import Node

from . import probes, servers
from .measure import GENERATOR_CORE, SERVER_CORE, Cpu, pinned, spread
from .report import ROOT, Section


def requests(options, directory):
    section = Section(
        "What a PHP request pays",
        "The page of this repository (`src-www/index.php`) through nginx and FastCGI, two workers, with svcreg and "
        "without, side by side; and the instructions that an empty request takes more with svcreg (callgrind; what FPM "
        "does between requests is left out).",
        ["", "without svcreg", "with svcreg", "ratio"],
    )
    with contextlib.ExitStack() as stack:
        page = ROOT / "src-www" / "index.php"
        sides = []
        for name, ini in (("without", {"svcreg.enabled": "0"}), ("with", {})):
            folder = servers.folder_in(directory, name)
            copy = folder / "index.php"
            shutil.copy(page, copy)
            node = stack.enter_context(Node(folder, name, None, ini=ini, pools={"web": {"pm.max_children": 2}}))
            for pid in [node.pid, *node.workers()]:
                subprocess.run(["taskset", "-cp", str(SERVER_CORE), str(pid)], check=True, capture_output=True)
            sides.append(stack.enter_context(servers.nginx(folder, node.listen(), copy, "/page?plain", name)))
            sides[-1].fpm = [node.pid, *node.workers()]
        rates, costs = ({server.name: [] for server in sides} for _ in range(2))
        for server in sides:  # caches are filled before anything counts
            probes.load(server.url, "keep-alive", 1, connections=4)
        for number in range(options.rounds):
            for server in sides if number % 2 else reversed(sides):
                before = cpu(server.fpm)
                figures = probes.load(server.url, "keep-alive", options.seconds, connections=4)
                costs[server.name].append((cpu(server.fpm) - before) / figures["answers"] * 1e6)
                rates[server.name].append(figures["answers"] / figures["duration_us"] * 1e6)
    ratios = [mine / theirs for mine, theirs in zip(rates["with"], rates["without"], strict=True)]
    section.rows.append(["requests/s of a page", spread(rates["without"]), spread(rates["with"]), spread(ratios)])
    more = [mine / theirs for mine, theirs in zip(costs["with"], costs["without"], strict=True)]
    section.rows.append(["µs CPU of FPM a request", spread(costs["without"]), spread(costs["with"]), spread(more)])
    section.at_most("CPU of FPM a request, with ÷ without", statistics.median(more), 1.03)
    section.at_least("requests/s of a page, with ÷ without", statistics.median(ratios), 0.97)
    if not options.quick:
        more = float(instructions(directory))
        section.rows.append(["instructions more, an empty request", "", f"{more:.0f}", ""])
        section.at_most("instructions a request", more, 100)
    return section


def cpu(pids):
    return sum(Cpu.of(pid).total for pid in pids)


def instructions(directory):
    """The figure of the test that holds them to their bound."""
    out = directory / "overhead.xml"
    test = "tests/fpm/test_overhead.py::test_a_request_costs_at_most_100_instructions_more"
    command = ["/usr/bin/python3", "-m", "pytest", "-q", f"--junitxml={out}", test]
    subprocess.run(pinned(GENERATOR_CORE, command), cwd=ROOT, check=False, stdout=subprocess.DEVNULL, env=os.environ)
    found = xml.parse(out).find(".//property[@name='instructions_per_request_more']")
    assert found is not None, out.read_text()
    return found.attrib["value"]
