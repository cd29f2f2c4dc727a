"""A helper that is taken over: what it can do to the system, and what others of its user can do to it."""

import errno
import os
import pwd
import re
import resource
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from security.conftest import needs_root
from support.helper import BIN, ROOT, Helper

NOWHERE = [{"name": "web", "listen": "/nowhere/web.sock"}]


def field(helper, name):
    return re.search(rf"^{name}:\s+(\S+)", helper.proc("status"), re.M)[1]


@needs_root
def test_the_helper_has_no_capability_can_gain_none_and_is_filtered(workdir):
    with Helper(workdir, NOWHERE, user="nobody") as helper:
        for which in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(field(helper, which), 16) == 0, which
        assert field(helper, "NoNewPrivs") == "1"
        assert field(helper, "Seccomp") == "2"


@needs_root
def test_a_capability_of_who_started_it_is_dropped(workdir):
    workdir.chmod(0o777)
    helper = Helper(workdir, NOWHERE)
    helper.run_root.mkdir(mode=0o777)
    helper.run_root.chmod(0o777)
    helper.write_config()
    ambient = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--inh-caps=+net_bind_service"]
    ambient += ["--ambient-caps=+net_bind_service", BIN, "serve", "--config", str(helper.config_path)]
    with subprocess.Popen(ambient, stderr=subprocess.PIPE) as helper.process:
        try:
            helper.wait_log("serving")
            assert int(field(helper, "CapPrm"), 16) == int(field(helper, "CapEff"), 16) == 0
            assert int(field(helper, "CapAmb"), 16) == 0
        finally:
            helper.process.kill()


def test_programs_tracing_and_namespaces_are_refused(workdir):
    probe = workdir / "probe"
    sources = [ROOT / "tests/security/sandbox_probe.c", ROOT / "fpm-health/sandbox.c"]
    subprocess.run(["cc", "-std=gnu11", f"-I{ROOT}/fpm-health", "-o", probe, *sources], check=True)
    said = dict(line.split() for line in subprocess.run([probe], capture_output=True, text=True).stdout.splitlines())
    assert said.pop("getpid") == "done"
    assert len(said) >= 9
    assert set(said.values()) == {"EPERM"}, said


def test_a_crash_leaves_no_core(workdir):
    resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
    with Helper(workdir, NOWHERE) as helper:
        assert re.search(r"Max core file size\s+0\s+0\s", helper.proc("limits"))
        os.kill(helper.process.pid, signal.SIGSEGV)
        _, status = os.waitpid(helper.process.pid, 0)
        helper.process.returncode = -signal.SIGSEGV
        assert os.WTERMSIG(status) == signal.SIGSEGV
        assert not os.WCOREDUMP(status)


@needs_root
def test_others_of_its_user_can_neither_read_nor_trace_it(workdir, as_user):
    token = workdir / "token"
    token.write_text("5ec2e7")
    token.chmod(0o600)
    consul = {"url": "http://127.0.0.1:1", "token_file": str(token)}
    with Helper(workdir, NOWHERE, user="nobody", consul=consul) as helper:
        proc = Path(f"/proc/{helper.process.pid}")
        assert helper.proc("status").count("Uid:\t65534")
        for name in ("mem", "environ", "maps"):
            assert as_user("nobody", lambda name=name: (proc / name).read_bytes()) == f"errno {errno.EACCES}", name
        assert as_user("nobody", lambda: list((proc / "fd").iterdir())) == f"errno {errno.EACCES}"


@needs_root
def test_its_files_are_its_own(workdir):
    old = os.umask(0)
    try:
        with Helper(workdir, NOWHERE, user="nobody") as helper:
            uid = pwd.getpwnam("nobody").pw_uid
            modes = {p.name: (p.stat().st_mode & 0o777, p.stat().st_uid) for p in helper.run_dir.iterdir()}
            assert modes == {"lock": (0o600, 0), "control.sock": (0o600, uid)}
            assert helper.log_path.stat().st_mode & 0o777 == 0o640
            assert helper.run_dir.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(old)


def drain_by(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        s.connect(str(path))
        s.sendall(b"POST /drain HTTP/1.1\r\n\r\n")
        return s.recv(100)


@needs_root
@pytest.mark.parametrize("user, other", [("nobody", "nobody"), ("nobody", "www-data"), ("www-data", "nobody")])
def test_control_sock_is_for_root_and_the_helpers_user_unless_others_share_that(workdir, as_user, user, other):
    with Helper(workdir, NOWHERE, user=user) as helper:
        control = helper.run_dir / "control.sock"
        control.chmod(0o666)  # as if its mode were no guard
        answer = as_user(other, lambda: drain_by(control))
        assert answer in ("b''", f"errno {errno.ECONNRESET}", f"errno {errno.EPIPE}"), answer
        assert helper.pool()["state"] == "starting"
        if user == "www-data":
            assert "200" in as_user(user, lambda: drain_by(control))
        assert b"200" in drain_by(control)
        assert helper.pool()["state"] == "draining"
