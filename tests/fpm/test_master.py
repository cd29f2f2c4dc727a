"""A master's less ordinary days: reloads nobody asked for, rotated logs, another binary, a reload without a helper."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.descriptors import opened
from support.node import HELPER
from support.waiting import until


def signals(status, field):
    """The signal numbers in a mask of a /proc/PID/status."""
    mask = int(re.search(rf"^{field}:\s*(\w+)", status, re.M)[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}


def same_entry(n, entry):
    return n.wait_passing()["Service"]["CreateIndex"] == entry["Service"]["CreateIndex"]


def test_an_emergency_reload_keeps_helper_and_registration(node):
    with node(top={"emergency_restart_threshold": "3", "emergency_restart_interval": "1m"}) as n:
        entry, helper, before = n.wait_passing(), n.helper_pid(), n.log_text().count("ready to handle connections")
        for _ in range(3):
            victim = until(n.workers, 5, "a worker")[0]
            os.kill(victim, signal.SIGSEGV)
            until(lambda victim=victim: n.lines(f"child {victim} exited on signal 11"), 5, "the worker has gone")
        n.wait_ready(before)
        until(lambda: (s := n.status()) and s["generation"] == 2, 5, "the helper takes the reload over")
        assert n.helper_pid() == helper and same_entry(n, entry)
        assert n.request(n.page).body.startswith(n.name.encode())
        assert n.stop() == 0


def test_rotated_logs_are_reopened_at_fpms_signal(node):
    n = node()
    n.directory.chmod(0o777)  # the helper's user makes the new log there
    log = n.directory / "svcreg.log"
    n.ini["svcreg.log"] = log
    with n:
        n.wait_passing()
        for path in (log, n.log):
            path.rename(f"{path}.1")
        n.send_signal(signal.SIGUSR1)
        until(n.log.exists, 5, "FPM has reopened its log")
        n.request(n.script("x.php", "<?php svcreg_unready('rotation');"))
        until(lambda: log.exists() and "rotation" in log.read_text(), 2, "the helper writes into the new log")
        assert "rotation" not in Path(f"{log}.1").read_text()
        assert n.stop() == 0


def test_a_replaced_helper_binary_takes_over_at_the_next_reload(node):
    n = node()
    binary = n.directory / "fpm-health"
    shutil.copy(HELPER, binary)
    n.ini["svcreg.helper"] = binary
    with n:
        entry, old = n.wait_passing(), n.helper_pid()
        shutil.copy(HELPER, f"{binary}.new")
        os.rename(f"{binary}.new", binary)
        n.reload()
        new = until(lambda: (p := n.helper_pids()) and len(p) == 1 and p[0] != old and p[0], 5, "the new one alone")
        until(n.status, 5, "it answers")
        assert os.readlink(f"/proc/{new}/exe") == str(binary) and same_entry(n, entry)
        assert not n.lines("died three times") and n.stop() == 0


def reload_without_helper(n, helper):
    """Lets the helper's death and the reload come at once: it is MINIT that starts the next one."""
    n.send_signal(signal.SIGSTOP)
    os.kill(helper, signal.SIGKILL)
    n.send_signal(signal.SIGUSR2)
    before = n.log_text().count("ready to handle connections")
    n.send_signal(signal.SIGCONT)
    n.wait_ready(before)


def test_a_helper_that_a_reload_starts_inherits_no_sockets(node):
    """FPM hands its listening sockets through exec: they are open while MINIT runs."""
    with node(pools={"a": {}, "b": {}}) as n:
        entry = n.wait_passing("a")
        reload_without_helper(n, n.helper_pid())
        until(n.status, 5, "a new helper answers")
        sockets = {name for name in opened(n.pid) if name.startswith("socket:")}
        assert len(sockets) >= 2 and not sockets & set(opened(n.helper_pid()))
        assert n.wait_passing("a")["Service"]["CreateIndex"] == entry["Service"]["CreateIndex"]
        assert n.stop() == 0
        assert not n.helper_pids() and not any(Path(n.listen(pool)).exists() for pool in "ab")


def test_a_helper_that_a_reload_starts_inherits_no_signals(node):
    """FPM's exec leaves USR1, USR2 and CHLD blocked, and PIPE ignored."""
    n = node()
    started = n.directory / "started"
    script = n.directory / "helper"
    pid_file = n.directory / "pid"
    steps = (
        f"echo $$ > {pid_file}",
        f"cp /proc/self/status {started}.new",
        f"mv {started}.new {started}",
        "exec sleep 60",
    )
    script.write_text("\n".join(("#!/bin/sh", *steps, "")))
    script.chmod(0o755)
    n.ini["svcreg.helper"] = script
    with n:
        until(started.exists, 5, "the first one")
        started.unlink()
        reload_without_helper(n, int(pid_file.read_text()))
        until(started.exists, 5, "the next one")
        status = started.read_text()
        assert not signals(status, "SigBlk") and not signals(status, "SigIgn")
        assert n.stop() == 0


def test_the_master_has_no_thread_and_is_not_woken_once_it_serves(node):
    with node(pools={"web": {"pm": "static"}}) as n:
        n.wait_passing()
        assert os.listdir(f"/proc/{n.pid}/task") == [str(n.pid)]
        trace = n.directory / "trace"
        with subprocess.Popen(["strace", "-e", "trace=none", "-o", trace, "-p", str(n.pid)]) as strace:
            until(trace.exists, what="strace looks")
            time.sleep(1.5)  # what would come every tick or heartbeat has come
            strace.terminate()
        assert "SIG" not in trace.read_text(), trace.read_text()


@pytest.mark.parametrize("timeout", ["0", "5s"])
def test_a_control_timeout_of_0_is_warned_about_at_start(node, timeout):
    with node(top={"process_control_timeout": timeout}) as n:
        assert len(n.lines("process_control_timeout is 0")) == (timeout == "0")
