"""Fixtures for the laboratory's own tests, and for the short set."""

import csv
import time

import cli
import judge
import pytest
from experiment import BINARY
from lab import Load


@pytest.fixture(scope="session")
def runner():
    """The stack that runs, changed when a case wants another."""
    runner = cli.Runner(full=False, directory=cli.RESULTS / "short")
    yield runner
    runner.down()


@pytest.fixture
def send(tmp_path):
    """send(address, seconds, …) -> the requests that the load generator wrote down"""

    def sending(address, seconds=0.5, rate=50, mix="get=1", timeout="1s"):
        file = tmp_path / "requests.csv"
        load = Load(BINARY, address, rate, mix, "test", file, timeout)
        time.sleep(seconds)
        load.stop()
        with open(file, newline="") as stream:
            return [judge.parse(row) for row in csv.DictReader(stream)]

    return sending
