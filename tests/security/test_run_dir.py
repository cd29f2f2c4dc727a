"""Directories and files that others put in our way: nothing is followed out of the run_dir."""

import json
import os
import pwd
import socket
import subprocess

import pytest
from security.conftest import needs_root
from support.helper import BIN, ROOT, Helper
from support.node import Node

NOWHERE = [{"name": "web", "listen": "/nowhere/web.sock"}]


def refused(helper, *words):
    """The helper does not start, and says why."""
    helper.write_config()
    helper.run_root.mkdir(exist_ok=True)
    ended = subprocess.run([BIN, "serve", "--config", helper.config_path], timeout=20, capture_output=True, text=True)
    assert ended.returncode == 75
    assert all(word in helper.log_text() for word in words), helper.log_text()


def test_a_link_is_no_run_dir(workdir):
    target = workdir / "elsewhere"
    target.mkdir()
    helper = Helper(workdir, NOWHERE)
    helper.run_root.mkdir()
    helper.run_dir.symlink_to(target)
    refused(helper, "can't be made or opened")
    assert not list(target.iterdir())


@needs_root
@pytest.mark.parametrize("owner, mode", [("somebody's", 0o755), ("everybody's", 0o777)])
def test_a_run_dir_that_others_made_or_may_write_to_is_refused(workdir, owner, mode):
    helper = Helper(workdir, NOWHERE, user="nobody")
    helper.run_root.mkdir()
    helper.run_dir.mkdir()
    helper.run_dir.chmod(mode)
    if owner == "somebody's":
        os.chown(helper.run_dir, 12345, 12345)
    refused(helper, "is not used")
    assert not list(helper.run_dir.iterdir())


def test_a_link_in_place_of_the_lock_or_log_is_not_followed(workdir):
    target = workdir / "precious"
    helper = Helper(workdir, NOWHERE)
    helper.run_dir.mkdir(parents=True)
    (helper.run_dir / "lock").symlink_to(target)
    refused(helper, "lock")
    assert not target.exists()
    (helper.run_dir / "lock").unlink()
    helper.log_path.unlink()
    helper.log_path.symlink_to(target)
    with helper:
        assert helper.get("/live")
    assert not target.exists()


@needs_root
@pytest.mark.parametrize("swapped", ["file", "link", "second name", None])
def test_only_the_socket_that_we_made_changes_hands(workdir, swapped):
    probe, path, precious = workdir / "probe", workdir / "control.sock", workdir / "precious.sock"
    sources = [ROOT / "tests/security/own_probe.c", ROOT / "fpm-health/user.c", ROOT / "fpm-health/log.c"]
    subprocess.run(["cc", "-std=gnu11", f"-I{ROOT}/fpm-health", "-o", probe, *sources], check=True)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(precious if swapped else path))
        if swapped == "file":
            path.touch()
        elif swapped == "link":
            path.symlink_to(precious)
        elif swapped:
            path.hardlink_to(precious)
        subprocess.run([probe, path, "nobody"], check=True)
    assert path.lstat().st_uid == (0 if swapped else pwd.getpwnam("nobody").pw_uid)
    assert not swapped or precious.stat().st_uid == 0


@pytest.fixture
def node(workdir):
    return Node(workdir, "n1", None)


def test_the_master_follows_no_link_in_place_of_the_run_dir(workdir, node):
    target = workdir / "elsewhere"
    target.mkdir()
    node.run_dir.mkdir()
    node.instance_dir.symlink_to(target)
    with node:
        assert node.lines("run/fpm")
        assert node.request(node.page).body.startswith(b"n1 ")
    assert not list(target.iterdir())


def test_the_master_follows_no_link_in_place_of_config_json(workdir, node):
    precious = workdir / "precious"
    precious.write_text("as it was")
    node.instance_dir.mkdir(parents=True)
    for name in ("config.json", "config.json.new"):
        (node.instance_dir / name).symlink_to(precious)
    with node:
        node.wait_state("healthy")
        written = node.instance_dir / "config.json"
        assert not written.is_symlink()
        assert json.loads(written.read_text())["node"] == "n1"
        assert written.stat().st_mode & 0o777 == 0o640
    assert precious.read_text() == "as it was"
