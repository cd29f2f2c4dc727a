"""Completion in bash: asked as bash asks, and once by a person's Tab."""

import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from support.helper import BIN, Helper
from support.terminal import Terminal
from support.waiting import until

COMPLETION = Path(__file__).resolve().parents[2] / "docs" / "bash-completion" / "fpm-health"
POOLS = ["web", "worker", "a b", "$(touch pwned)"]


@pytest.fixture
def helper(workdir):
    with Helper(workdir, [{"name": name, "listen": "/nonexistent"} for name in POOLS]) as helper:
        yield helper


def complete(*words):
    """What bash would offer for the last of the words."""
    script = f"""
        source {COMPLETION}
        COMP_WORDS=({shlex.join([BIN, *words])}) COMP_CWORD={len(words)}
        _fpm_health
        for word in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$word"; done
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=20)
    assert not done.stderr
    return done.stdout.splitlines()


def test_commands_and_their_options_are_offered():
    assert {"serve", "check", "status", "top", "drain", "maint", "token-check", "--help"} <= set(complete(""))
    assert complete("ch") == ["check", "check-config"]
    assert complete("top", "--") == ["--interval", "--count", "--run-dir", "--instance"]
    assert complete("drain", "--w") == ["--wait"]
    assert complete("maint", "") == ["on", "off"]
    assert complete("maint", "on", "--r") == ["--reason", "--run-dir"]


def test_what_is_offered_is_understood_and_nothing_else(helper):
    every = ("--live", "--json", "--wait", "--timeout=1s", "--reason=x", "--interval=100ms", "--count=1")
    commands = {"check": (), "status": (), "top": (), "drain": (), "undrain": (), "maint": ("off",)}
    for command, words in commands.items():
        offered = complete(command, *words, "--")
        for option in every:
            wrong = 3 if command == "check" else 64  # a Nagios plugin's "unknown"
            code = helper.cli(command, *words, option).returncode
            assert (code == wrong) == (option.partition("=")[0] not in offered), (command, option)


def test_pools_of_the_running_helper_are_offered(helper):
    where = ("--run-dir", str(helper.run_root))
    assert complete("drain", *where, "w") == ["web", "worker"]
    assert complete("check", *where, "--instance", "test", "wo") == ["worker"]
    assert complete("undrain", *where, "") == ["web", "worker", r"a\ b", r"\$\(touch\ pwned\)"]
    assert complete("status", *where, "w") == []


def test_instances_that_run_here_are_offered(helper):
    other = helper.run_root / "second"
    other.mkdir()
    (helper.run_root / "gone").mkdir()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(other / "control.sock"))
        assert complete("status", "--run-dir", str(helper.run_root), "--instance", "") == ["second", "test"]


def test_no_helper_offers_nothing_and_says_nothing(workdir):
    assert complete("drain", "--run-dir", str(workdir), "w") == []


def test_files_are_offered_for_a_configuration(workdir):
    (workdir / "config.json").touch()
    assert complete("check-config", f"{workdir}/con") == [f"{workdir}/config.json"]
    assert complete("serve", "--config", f"{workdir}/con") == [f"{workdir}/config.json"]


def test_tab_completes_on_a_terminal(helper):
    with Terminal(["bash", "--norc", "--noprofile", "-i"], PS1="$ ", PATH=f"{Path(BIN).parent}:/usr/bin:/bin") as bash:
        bash.wait_text("$")
        bash.press(f"source {COMPLETION}; clear\n")
        bash.press(f"fpm-health dra\t--run-dir {helper.run_root} wor")
        wanted = f"fpm-health drain --run-dir {helper.run_root} worker"
        until(
            lambda: bash.press("\t") or wanted in bash.text(), 10, wanted, every=2.5
        )  # its patience with a helper is 2 s
