"""script/up where something is missing: one clear line, what to do, exit 1, and nothing left started."""

import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from support.waiting import free_port

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "svcreg-scripts-test"
OWN_STACK = {"COMPOSE_PROJECT_NAME": PROJECT, "SVCREG_HTTP_PORT": "18080", "SVCREG_CONSUL_PORT": "18500"}
NOBODY = 65534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def up(*arguments, path=None, root=ROOT, **environment):
    """-> CompletedProcess of script/up in a compose project of its own, never the one a person may be running"""
    env = {**os.environ, **OWN_STACK, **environment}
    if path:
        env["PATH"] = str(path)
    command = ["bash", str(root / "script/up"), *arguments]
    return subprocess.run(command, cwd="/", env=env, text=True, capture_output=True, timeout=1500)


def assert_refused(done, *words):
    assert done.returncode == 1, done
    for word in words:
        assert word in done.stderr, done.stderr
    listed = ["docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={PROJECT}"]
    assert subprocess.run(listed, text=True, capture_output=True, check=True).stdout == ""


@pytest.fixture
def bin_without(tmp_path):
    """-> a function that makes a PATH with every program of this machine but those named"""

    def make(*absent):
        folder = tmp_path / "bin"
        folder.mkdir(mode=0o755)
        tmp_path.chmod(0o755)
        for source in ("/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"):
            for program in Path(source).iterdir():
                link = folder / program.name
                if program.name not in absent and not link.is_symlink():
                    link.symlink_to(program)
        return folder

    return make


def stub(folder, name, script):
    program = folder / name
    program.unlink(missing_ok=True)
    program.write_text(f"#!/bin/bash\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def reachable_checkout(tmp_path_factory):
    """The scripts where an unprivileged user can read them, wherever the checkout lies."""
    folder = tmp_path_factory.mktemp("checkout")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o055)
    for name in ("script", "compose", "docker-images", "board", "ext", "fpm-health", "src-www"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("VERSION", ".env", "config.m4", "Makefile.frag"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def as_nobody(checkout, path):
    env = {**os.environ, **OWN_STACK, "PATH": str(path)}
    command = [*AS_NOBODY, "bash", str(checkout / "script/up")]
    return subprocess.run(command, cwd="/", env=env, text=True, capture_output=True, timeout=120)


def test_without_docker_and_without_root_it_names_the_command(bin_without, reachable_checkout):
    path = bin_without("docker", "docker-compose")
    done = as_nobody(reachable_checkout, path)
    assert_refused(done, "missing: Docker Engine, docker-compose, and only root can install it", "sudo script/up")


def test_without_docker_and_without_apt_it_says_what_to_install(bin_without):
    done = up(path=bin_without("docker", "docker-compose", "apt-get"))
    assert_refused(done, "missing: Docker Engine, docker-compose", "install Docker Engine and compose as your")


def test_as_root_it_says_what_it_installs_then_installs_it(bin_without, tmp_path):
    path = bin_without("docker", "docker-compose", "debootstrap")
    calls = tmp_path / "calls"
    stub(path, "apt-cache", '[ "$2" != docker-cli ]')
    stub(path, "service", "exit 1")
    stub(
        path,
        "apt-get",
        f"""echo "$@" >> {calls}
        if [[ $* == *install* ]]; then
            printf '#!/bin/bash\necho "Cannot connect to the Docker daemon" >&2\nexit 1\n' > {path}/docker
            chmod +x {path}/docker
            ln -s docker {path}/docker-compose
        fi""",
    )
    done = up(path=path)
    packages = "docker.io docker-compose debian-archive-keyring debootstrap"
    assert f"-q -y install {packages}\n" in calls.read_text()
    said = done.stdout.splitlines()
    assert "missing: Docker Engine, docker-compose, debootstrap" in said[0]
    assert f"installing with apt-get: {packages}" in said[1]
    assert_refused(done, "the Docker daemon does not answer", "systemctl start docker")


def test_a_failing_apt_ends_it_with_its_last_line(bin_without):
    path = bin_without("docker", "docker-compose")
    stub(path, "apt-get", "echo 'E: Unable to fetch some archives' >&2; exit 100")
    assert_refused(up(path=path), "apt-get update failed: E: Unable to fetch some archives", "build/log/apt.log")


def test_with_the_daemon_stopped_it_says_how_to_start_it(tmp_path):
    done = up(DOCKER_HOST=f"unix://{tmp_path}/docker.sock")
    assert_refused(done, "the Docker daemon does not answer", "sudo systemctl start docker")


def test_without_permission_for_docker_it_says_how_to_get_it(bin_without, reachable_checkout):
    done = as_nobody(reachable_checkout, bin_without())
    assert_refused(done, "no permission to use the Docker daemon", "usermod -aG docker")


@pytest.mark.parametrize("variable", ["SVCREG_HTTP_PORT", "SVCREG_CONSUL_PORT"])
def test_with_a_port_taken_it_names_the_port_and_the_way_round(variable):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = up(**{variable: str(port)})
    assert_refused(done, f"port {port} on 127.0.0.1 is taken", f"{variable}={port + 1} script/up")


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "svcreg-test", disk], check=True)
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_with_dockers_disk_full_it_says_how_much_is_missing(bin_without, small_disk):
    path = bin_without("docker")
    stub(path, "docker", f"""[ "$1" = info ] && echo {small_disk} && exit; exec {shutil.which("docker")} "$@" """)
    assert_refused(up(path=path), f"no disk space: {small_disk} has 20 MB free", "docker system prune")


def test_with_the_checkouts_disk_full_no_image_is_begun(small_disk):
    for name in ("script", "compose", "docker-images"):
        shutil.copytree(ROOT / name, small_disk / name)
    shutil.copy(ROOT / "VERSION", small_disk)
    with open(small_disk / "docker-images/redis/Dockerfile", "a") as dockerfile:
        dockerfile.write("# changed\n")
    done = subprocess.run(["bash", small_disk / "script/images", "redis"], text=True, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert "no disk space: build has" in done.stderr
    assert "building" not in done.stdout


def test_a_disk_that_fills_during_the_build_is_called_so(bin_without, reachable_checkout):
    path = bin_without("docker")
    stub(
        path,
        "docker",
        f"""
        [ "$1 $2" = "image inspect" ] && exit 1
        [ "$1" = pull ] && exit 1
        [ "$1" = import ] && cat > /dev/null && echo imported && exit
        [ "$1" = build ] && cat > /dev/null && echo "write /usr/bin/x: no space left on device" >&2 && exit 1
        exec {shutil.which("docker")} "$@" """,
    )
    stub(
        path,
        "debootstrap",
        """
        for tree; do :; done
        mkdir -p "$tree/etc/apt"
        echo "deb http://mirror.test/debian trixie main" > "$tree/etc/apt/sources.list" """,
    )
    assert_refused(
        up(path=path, root=reachable_checkout), "image base was not built", "the disk is full: docker system prune"
    )


@pytest.mark.parametrize("argument", ["0", "many", "101", "-1"])
def test_a_wrong_number_of_nodes_is_refused(argument):
    done = up(argument)
    assert done.returncode in (1, 64)
    assert done.stderr


def test_a_stack_that_does_not_come_to_serve_is_taken_down_again():
    ports = {variable: str(free_port()) for variable in ("SVCREG_HTTP_PORT", "SVCREG_CONSUL_PORT")}
    done = up("1", SVCREG_WAIT_S="0", **ports)
    assert "starting 1 web nodes" in done.stdout
    assert_refused(done, "after 0 s 1 nodes do not serve", "the end of each log is above")
