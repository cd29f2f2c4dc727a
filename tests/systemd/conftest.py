"""svcreg as the README has it installed."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from fpm_unit import FPM_FOLDER, UNIT, Unit, systemctl
from support.fixtures import consul, workdir  # noqa: F401

TREE = Path(os.environ["SVCREG_SO"]).resolve().parents[1]


@pytest.fixture(scope="session", autouse=True)
def installed():
    subprocess.run(["make", "-C", TREE, "install"], check=True, capture_output=True, timeout=120)
    systemctl("stop", UNIT)
    pool = FPM_FOLDER / "pool.d/www.conf"
    pool.write_text(re.sub(r"^pm = .*", "pm = static", pool.read_text(), flags=re.M))


@pytest.fixture
def unit(workdir, consul):  # noqa: F811
    made = []

    def make(drop_in=True):
        made.append(Unit(workdir, consul, drop_in))
        return made[-1]

    yield make
    subprocess.run(["systemctl", "kill", "-s", "KILL", UNIT], check=False)
    subprocess.run(["systemctl", "stop", UNIT], check=False)
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False)
