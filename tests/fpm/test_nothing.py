"""svcreg does nothing where it has nothing to do."""

import re
import shutil
import subprocess

import pytest

STRACE = ["strace", "-f", "-qq", "-e", "trace=process,network,openat,creat,mkdir,memfd_create,eventfd2,timer_create"]
OURS = re.compile(
    r"memfd_create|eventfd2|timer_create|mkdir\(|svcreg/|run/fpm|O_CREAT|connect\(|clone3?\(|vfork\("
    r"|execve\(.[^,]*fpm-health"
)


def traced(node, command):
    """The traced calls of `command` that could be svcreg's."""
    trace = node.directory / "trace"
    subprocess.run([*STRACE, "-o", trace, *command], capture_output=True, timeout=30)
    return [line for line in trace.read_text().splitlines() if OURS.search(line)]


@pytest.mark.parametrize("option", ["-t", "-tt", "-v", "-i", "-m", "-h"])
def test_nothing_is_made_opened_or_started_for(node, option):
    n = node()
    n.write_config()
    with_svcreg = traced(n, [*n.command(), option])
    n.ini = {}
    without = traced(n, [*n.command(), option])
    assert len(with_svcreg) == len(without), with_svcreg
    assert not n.run_dir.exists() and not n.helper_pids()


@pytest.mark.parametrize("name", ["php", "php-cgi"])
def test_other_kinds_of_php_get_no_file_process_or_socket(node, name):
    php = shutil.which(name)
    if not php:
        pytest.skip(f"{name} is not installed")
    n = node()
    defines = [a for k, v in n.ini.items() for a in ("-d", f"{k}={v}")]
    script = n.script("x.php", "<?php function_exists('svcreg_status') && svcreg_status(); echo 'ran';")
    with_svcreg, without = (traced(n, [php, "-n", *own, "-f", script]) for own in (defines, []))
    assert with_svcreg == without == [] and not n.run_dir.exists()


def test_the_trace_sees_what_a_start_does(node):
    """The control: the same look at a real start finds the board, the helper and its configuration."""
    n = node(consul=None)
    n.write_config()
    process = subprocess.Popen([*STRACE, "-o", n.directory / "trace", *n.command()])
    try:
        n.process = process
        n.wait_ready()
        found = [line for line in (n.directory / "trace").read_text().splitlines() if OURS.search(line)]
    finally:
        for pid in n.children():
            subprocess.run(["kill", str(pid)], check=False)
        process.wait(10)
    assert any("memfd_create" in line for line in found) and any("fpm-health" in line for line in found)


def test_disabled_it_is_loaded_and_does_nothing(node):
    with node(ini={"svcreg.enabled": "0"}) as n:
        assert (
            n.request(n.script("x.php", "<?php var_dump(svcreg_ready(), svcreg_pool());")).body
            == b"bool(false)\nNULL\n"
        )
        assert not n.run_dir.exists() and not n.helper_pids()
        n.stop()
