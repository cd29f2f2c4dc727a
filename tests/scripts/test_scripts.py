"""What all scripts have in common, and when script/images builds."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ["up", "down", "logs", "images", "deploy", "chaos", "consul-binary", "toxiproxy-binary"]


def script(name, *arguments, root=ROOT, cwd="/"):
    command = ["bash", str(root / "script" / name), *arguments]
    return subprocess.run(command, cwd=cwd, text=True, capture_output=True, timeout=1500)


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_says_how_it_is_used(name):
    done = script(name, "--help")
    assert done.returncode == 0
    assert done.stdout.startswith(f"Usage: script/{name}")
    assert done.stderr == ""


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_unknown_option_is_wrong_usage(name):
    done = script(name, "--no-such-option")
    assert done.returncode == 64, done
    assert done.stderr.startswith("Usage: ")


@pytest.fixture
def checkout(tmp_path):
    """A copy without git, as from an archive, of what images are made of."""
    for name in ("script", "docker-images", "board", "ext", "fpm-health", "src-www"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.o", "*.lo", "*.dep", ".libs"))
    for name in ("VERSION", "config.m4", "Makefile.frag"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_images_are_built_only_when_their_sources_changed(checkout):
    script("images", "redis")
    assert "up to date: redis" in script("images", "redis").stdout

    with open(checkout / "docker-images/redis/Dockerfile", "a") as dockerfile:
        dockerfile.write("LABEL svcreg.test=changed\n")
    listed = script("images", "--list", "redis", "base", root=checkout)
    assert listed.returncode == 1
    assert "redis:" in listed.stdout.splitlines()[0]
    assert "to be built" in listed.stdout.splitlines()[0]
    assert "up to date" in listed.stdout.splitlines()[1]


def test_a_change_of_the_base_asks_for_all_images_above_it(checkout):
    with open(checkout / "docker-images/base/apt.conf", "a") as file:
        file.write('Acquire::Retries "5";\n')
    listed = script("images", "--list", root=checkout).stdout.splitlines()
    assert len(listed) == 6
    assert all(line.endswith("to be built") for line in listed), listed


def test_an_unknown_image_is_refused_with_the_list():
    done = script("images", "no-such-image")
    assert done.returncode == 1
    assert "known: php-fpm nginx consul redis haproxy host" in done.stderr


def test_consul_binary_prints_a_path_that_runs():
    path = script("consul-binary").stdout.strip()
    assert "Consul v1.20" in subprocess.run([path, "version"], text=True, capture_output=True, check=True).stdout
