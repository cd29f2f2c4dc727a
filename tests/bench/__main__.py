"""Runs the cases and prints what they found; see script/bench."""

import argparse
import os
import shutil
import sys
import time

from support.fixtures import open_directory

from . import footprint, php, probes, registry, report, thousand

CASES = {
    "rate": probes.rate, "calls": probes.calls, "pools": probes.pools, "idle": footprint.idle, "php": php.requests,
    "consul": registry.registry, "register": registry.many,
    "thousand": thousand.thousand,
}  # fmt: skip


def arguments():
    parser = argparse.ArgumentParser(prog="script/bench")
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--report", action="store_true")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=" ".join(CASES))
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {' '.join(unknown)}")
    if options.report and options.cases and (options.quick or not report.is_of_here()):
        parser.error(
            "the report is of another machine or other programs, or this run is quick: a report of all cases, please"
        )
    options.whole = not options.cases
    options.rounds = options.rounds or (3 if options.quick else 5)
    options.seconds = 1 if options.quick else 2
    options.cases = options.cases or list(CASES)
    return options


def run(name, options):
    directory = open_directory()
    begin = time.monotonic()
    try:
        section = CASES[name](options, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print(section.printed(), f"({time.monotonic() - begin:.0f} s)", sep="\n", flush=True)
    return section


def main():
    options, busy = arguments(), os.getloadavg()[0]
    sections = [run(name, options) for name in options.cases]
    if options.report and options.whole:
        report.write(sections, options, (busy, os.getloadavg()[0]))
    elif options.report:
        report.renew(sections)
    missed = [goal for section in sections for goal in section.goals if not goal[-1]]
    print(f"\n{sum(len(section.goals) for section in sections)} goals, {len(missed)} missed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
