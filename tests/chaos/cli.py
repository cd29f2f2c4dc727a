"""What script/chaos runs: chooses cases, runs them stack by stack, prints each verdict, and writes the report."""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import report
from cases import CASES
from experiment import perform
from judge import show, void
from lab import Laboratory
from results import Results
from stacks import STACKS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build" / "chaos"
PUBLISHED = ROOT / "docs" / "failover" / "runs.jsonl"  # of the full set
REPEATS, FULL_REPEATS = 3, 20
LONG = {"starved": 1}  # of the full set: takes ten minutes by itself
SHORT_REPEATS = {"scale": 1, "wipe": 2}  # of the short set: those that take long; a control once
VOID_RUNS = 2  # of a repeat; then its verdict stands
SHOWN = 10  # requests that failed or were slow, of a run that is not as it should be
BEGIN = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - BEGIN:5.0f}s] {text}", flush=True)


def repeats_of(case, wanted, full):
    if wanted:
        return wanted
    if full:
        return LONG.get(case.name, FULL_REPEATS)
    return 1 if case.control else SHORT_REPEATS.get(case.name, REPEATS)


def chosen(names, full):
    cases = [CASES[name] for name in names] if names else [case for case in CASES.values() if full or case.short]
    order = list(STACKS)
    return sorted(cases, key=lambda case: order.index(case.stack))


class Runner:
    """Keeps the stack that runs, and changes it when a case wants another, or after something went wrong."""

    def __init__(self, full, directory):
        self.full, self.directory = full, directory
        self.lab = None

    def laboratory(self, case):
        if self.lab is None or self.lab.stack.name != case.stack:
            self.down()
            say(f"starting stack {case.stack}: {STACKS[case.stack].about}")
            self.lab = Laboratory(STACKS[case.stack])
            self.lab.up(case.nodes)
        return self.lab

    def down(self):
        if self.lab:
            self.lab.down()
            self.lab = None

    def perform(self, case, repeat):
        """-> the result; one that was only too slow, as the whole machine was, is void and had again, a few times"""
        kept = self.directory / case.name / f"{repeat}.json"
        for number in range(VOID_RUNS):
            result = self.once(case, repeat)
            if case.starves or not result["figures"] or not void(result["figures"], case.promise):
                return result
            late = show(result["figures"]["generator_late"])
            say(f"{case.name} {repeat + 1}: void, the load generator itself was {late} s late: {result['broken']}")
            if kept.exists():
                kept.rename(kept.with_suffix(f".void{number + 1}"))
        return self.once(case, repeat)

    def once(self, case, repeat):
        """-> the result; one that could not be had tells why in `broken`"""
        try:
            return perform(self.laboratory(case), case, repeat, self.full, self.directory / case.name)
        except (RuntimeError, AssertionError, OSError, ValueError, LookupError) as error:
            if self.lab:
                self.lab.keep_logs(self.directory / case.name / f"{repeat}.log")
            self.down()
            return {"case": case.name, "figures": None, "broken": [f"{type(error).__name__}: {error}"]}


def as_it_should_be(case, result):
    """A control has to break its promise, and not just because it could not be run."""
    return bool(result["figures"]) and bool(result["broken"]) == case.control


def tell(case, repeat, result):
    figures = result["figures"]
    good = as_it_should_be(case, result)
    word = {(False, True): "ok", (False, False): "BROKEN", (True, True): "seen red", (True, False): "NOT RED"}
    say(f"{case.name} {repeat + 1}: {word[case.control, good]}; {report.line(figures) if figures else ''}")
    for text in result["broken"]:
        say(f"    {text}")
    if not good:
        for one in result.get("evidence", [])[-SHOWN:]:
            say(f"    {report.request_line(one)}")
    return good


def run(cases, options, directory, results):
    """-> the names of the cases that are not as they should be"""
    runner, bad = Runner(options.full, directory), []
    try:
        for case in cases:
            for repeat in range(repeats_of(case, options.repeats, options.full)):
                result = results.find(case, repeat) or results.add(runner.perform(case, repeat), repeat)
                if not tell(case, repeat, result) and case.name not in bad:
                    bad.append(case.name)
    finally:
        if not options.keep:
            runner.down()
    return bad


def parse(arguments):
    parser = argparse.ArgumentParser(prog="script/chaos", add_help=False)
    parser.add_argument("cases", nargs="*")
    for flag in ("--full", "--list", "--report", "--resume", "--keep"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--repeats", type=int, default=0)
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        print(f"script/chaos: there is no case {', '.join(unknown)}; script/chaos --list names them", file=sys.stderr)
        return 64
    if options.list:
        for case in CASES.values():
            print(f"{case.name:22} {case.kind:10} {'short' if case.short else '':6} {case.about}")
        return 0
    directory = RESULTS / ("full" if options.full else "short")
    results = Results(PUBLISHED if options.full else directory / "runs.jsonl")
    cases = chosen(options.cases, options.full)
    if not options.resume:
        results.forget({case.name for case in cases})
        for case in cases:
            shutil.rmtree(directory / case.name, ignore_errors=True)
    bad = run(cases, options, directory, results)
    if options.report:
        report.write(results, ROOT / "docs" / "failover.md")
        say("docs/failover.md is written")
    say(f"{len(cases) - len(bad)} of {len(cases)} cases as promised" + (f"; not: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    os.umask(0o022)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(130))  # so that the stack goes down
    sys.exit(main(sys.argv[1:]))
