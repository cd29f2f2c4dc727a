"""What a failed test tells: enough in a few lines, and what the machine did meanwhile."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PYTHON = [sys.executable, "-B"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(TESTS)}

FAILING = """
def test_that_fails():
    print("\\n".join(f"said {number}" for number in range(100)))
    assert 2 + 2 == 5, "sums"


def test_that_passes():
    print("nothing of interest")
"""

STOPPED = """
import sys, time
from support.standstill import WATCH
from support.waiting import until
print("ready", flush=True)
sys.stdin.readline()
begin = time.monotonic()
try:
    until(lambda: False, timeout=1, what="it")
except AssertionError:
    print(time.monotonic() - begin, WATCH.seconds())
"""


def test_a_failure_is_told_in_short(tmp_path):
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text((TESTS.parent / "pytest.ini").read_text())
    (tmp_path / "test_it.py").write_text(FAILING)
    options = ["-m", "pytest", "-q", f"--junitxml={tmp_path}/it.xml", tmp_path]
    assert subprocess.run([*PYTHON, *options], env=ENVIRONMENT, cwd=tmp_path, capture_output=True).returncode == 1
    digest = [*PYTHON, TESTS / "support" / "digest.py", tmp_path / "it.xml"]
    said = subprocess.run(digest, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[:3] == ["test_it test_that_fails", "AssertionError: sums", "assert (2 + 2) == 5"]
    assert "said 99" in said
    assert "said 50" not in said
    assert "nothing of interest" not in "".join(said)
    assert re.match(r"clock \d+\.\d\d s, stood still \d+\.\d\d s, stolen by the host \d+\.\d\d s, ", said[-1]), said[-1]


def test_time_in_which_nothing_here_could_run_is_not_waited_for():
    """To be stopped is to a process what it is to a machine to be without a processor."""
    process = subprocess.Popen(
        [*PYTHON, "-c", STOPPED], env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("go\n")
        process.stdin.flush()
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
        took_s, still_s = map(float, process.stdout.readline().split())
    finally:
        process.kill()
        process.communicate()
    assert 1.8 <= still_s <= took_s - 0.9
    assert took_s - still_s <= 1.5
