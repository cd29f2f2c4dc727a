"""The figures of each run that was had: a line of JSON each. Those of the full set are published beside the table."""

import json
import subprocess
import time
from pathlib import Path

from cases import CASES
from judge import broken
from support.machine import machine

ROOT = Path(__file__).resolve().parents[2]
UNDER_TEST = ("ext", "board", "fpm-health", "docker-images", "compose", "config.m4", "src-www")


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()


def revision():
    """The newest change of what is under test, as git knows it; without git the version."""
    changed = "+" if git("status", "--porcelain", "--", *UNDER_TEST) else ""
    newest = git("log", "-1", "--format=%h", "--", *UNDER_TEST)
    return newest + changed if newest else (ROOT / "VERSION").read_text().strip()


class Results:
    """Several runs of script/chaos may add to the same file; only one may forget."""

    def __init__(self, file):
        self.file = file

    def all(self):
        return [json.loads(line) for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def find(self, case, repeat):
        """-> a run that was had, held against what is promised now; None if it was not"""
        found = [run for run in self.all() if (run["case"], run["repeat"]) == (case.name, repeat)]
        return held(found[-1]) if found else None

    def by_case(self):
        """-> {case name: its runs}, in the order of the cases"""
        runs = sorted(self.all(), key=lambda run: run["repeat"])
        found = {name: [held(run) for run in runs if run["case"] == name] for name in CASES}
        return {name: own for name, own in found.items() if own}

    def forget(self, names):
        kept = [run for run in self.all() if run["case"] not in names]
        if self.file.exists():
            self.file.write_text("".join(map(line, kept)))

    def add(self, result, repeat):
        """-> the result; one that could not be had is not kept"""
        if result["figures"]:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            with self.file.open("a") as stream:
                stream.write(line({
                    "case": result["case"], "repeat": repeat, "when": when, "revision": revision(),
                    "machine": machine(), "figures": result["figures"],
                }))  # fmt: skip
        return result


def line(run):
    figures = {name: round(value, 4) if isinstance(value, float) else value for name, value in run["figures"].items()}
    return json.dumps(run | {"figures": figures}) + "\n"


def held(run):
    return run | {"broken": broken(run["figures"], CASES[run["case"]].promise)}
