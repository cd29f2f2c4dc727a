"""`make install`, and Debian's own PHP-FPM under its own configuration, as the README's host installation has it."""

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.consul import our_check
from support.fpm import BIN
from support.node import SO
from support.waiting import until

TREE = Path(SO).resolve().parents[1]
VERSION = re.search(r"[\d.]+$", BIN)[0] if BIN else ""
SOCKET = Path(f"/run/php/php{VERSION}-fpm.sock")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Where `make install` puts everything, below a root of its own."""
    path = tmp_path_factory.mktemp("root")
    path.parent.parent.chmod(0o755)
    subprocess.run(
        ["make", "-C", TREE, "install", f"INSTALL_ROOT={path}"], check=True, capture_output=True, timeout=120
    )
    return path


def helper_below(root, extension):
    """The installed fpm-health: below `root` at the place that svcreg.helper has by default."""
    command = ["php", "-n", "-d", f"extension={extension}", "-r", "echo ini_get('svcreg.helper');"]
    return root / subprocess.run(command, capture_output=True, text=True, check=True).stdout.lstrip("/")


def test_the_extension_and_the_helper_are_where_the_defaults_look(root):
    (extension,) = root.glob("usr/lib/php/*/svcreg.so")
    helper = helper_below(root, extension)
    said = subprocess.run([helper, "--version"], capture_output=True, text=True, check=True)
    assert (TREE / "VERSION").read_text().strip() in said.stdout
    assert helper.stat().st_mode & 0o777 == 0o755


def test_man_pages_and_completion_are_where_man_and_bash_look(root):
    pages = sorted((TREE / "docs" / "man").glob("*.[1-8]"))
    assert [page.name for page in pages] == ["fpm-health.8", "svcreg.5"]
    share = helper_below(root, next(root.glob("usr/lib/php/*/svcreg.so"))).parents[1] / "share"
    files = {f"man/man{page.suffix[1:]}/{page.name}": page for page in pages}
    files["bash-completion/completions/fpm-health"] = TREE / "docs" / "bash-completion" / "fpm-health"
    for path, source in files.items():
        assert (share / path).read_text() == source.read_text()
        assert (share / path).stat().st_mode & 0o777 == 0o644


def test_debians_fpm_under_its_own_configuration_is_registered_and_passing(root, consul, workdir):
    (extension,) = root.glob("usr/lib/php/*/svcreg.so")
    SOCKET.parent.mkdir(exist_ok=True)
    defines = {
        "extension": extension, "svcreg.helper": helper_below(root, extension), "svcreg.node": "host",
        "svcreg.run_dir": workdir / "run", "svcreg.consul": consul.url,
        "svcreg.health_listen": f"unix:{workdir}/h.sock",
    }  # fmt: skip
    for path in (root, *root.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)  # the helper's user executes it
    command = [BIN, "--nodaemonize", *(a for k, v in defines.items() for a in ("-d", f"{k}={v}"))]
    with (workdir / "out").open("wb") as out:
        fpm = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        entry = consul.wait_status("www", "passing")[0]
        instance = f"etc-php-{VERSION}-fpm-php-fpm.conf"
        assert entry["Service"]["ID"] == f"svcreg:host:{instance}:www"
        assert our_check(entry)["Output"].startswith("healthy")
        assert entry["Service"]["SocketPath"] == str(SOCKET) and (workdir / "run" / instance / "config.json").exists()
    finally:
        fpm.send_signal(signal.SIGQUIT)
        assert fpm.wait(10) == 0
    consul.wait_gone("www")
    until(lambda: not helpers(workdir), 2, "the helper has gone")


def helpers(workdir):
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.fsencode(workdir) in (entry / "cmdline").read_bytes():
                found.append(entry.name)
    return found
