"""What tests of probers share: servers, and tables that are shown also where a test passes."""

import contextlib
import os

import pytest
from support import wire
from support.fixtures import consul, own_consul, workdir  # noqa: F401


@pytest.fixture(autouse=True, scope="session")
def ahead_of_others():
    """What answers and who measures it go first, where that is allowed: the rest of the machine is not measured."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)


@pytest.fixture
def show(capsys):
    """`show(title, heading, rows)` prints a table past pytest's capture: the figures belong in the log."""

    def show(title, heading, rows):
        with capsys.disabled():
            print(f"\n{title}")
            for line in wire.rows_of(heading, rows):
                print(f"    {line}")

    return show
