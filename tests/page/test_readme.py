"""The README is held to the tree: tests run its commands, its tables name what is built, its links lead somewhere."""

import json
import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest
from conftest import running
from support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HELPER = os.environ.get("SVCREG_HELPER", ROOT / "build/tree/fpm-health/fpm-health")
README = (ROOT / "README.md").read_text()

# Where each command of the README is run: a file, and words of it that run the command.
RUN_BY = {
    "script/up 3": ("tests/compose/conftest.py", '"script/up", nodes'),
    "docker-compose scale web=10": ("tests/compose/test_stack.py", "scale(10)"),
    "curl -s '127.0.0.1:8080/?plain'": ("tests/compose/test_stack.py", '"curl", "-s", three_nodes.url + "?plain"'),
    "curl -s '127.0.0.1:8080/?json'": ("tests/compose/test_stack.py", '"?json"'),
    "curl -s '127.0.0.1:8080/?sleep=1000'": ("tests/page/test_page.py", '"/?sleep=300"'),
    "script/deploy --build": ("tests/compose/test_deploy.py", 'deploy(shop, "--build")'),
    "COMPOSE_FILE=compose/docker-compose.yml:compose/haproxy.yml script/up 3": (
        "tests/compose/test_haproxy.py",
        'variant("haproxy", "haproxy.yml")',
    ),
    "COMPOSE_FILE=compose/docker-compose.yml:compose/cluster.yml script/up 3": (
        "tests/compose/test_cluster.py",
        'variant("cluster", "cluster.yml")',
    ),
    "script/logs": ("tests/scripts/test_scripts.py", "logs"),
    "script/down": ("tests/compose/conftest.py", '"script/down"'),
    "sudo apt-get install gcc make pkg-config php-dev php-fpm libcurl4-gnutls-dev libjansson-dev": (
        "script/test",
        "libcurl4-gnutls-dev libjansson-dev",
    ),
    "phpize && ./configure && make && sudo make install": ("script/test", "install INSTALL_ROOT"),
    "docker run -d -e CONSUL=consul.example:8500 -e SERVICE=web -p 8080:80 svcreg/nginx": (
        "tests/compose/test_nginx.py",
        "SERVICE=",
    ),
    "script/test": (".ci/run", "script/test"),
    "script/test unit page": ("script/test", 'run_kind "$kind"'),
    "script/lint": ("script/test", "run_lint() { script/lint"),
}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.M | re.S)


def table(heading):
    """Rows of the first table below a heading, cells without markup."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.strip("|\n ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip("` ") for cell in row] for row in rows[2:]]


def source(path):
    return (ROOT / path).read_text()


def test_each_command_is_run_by_a_test():
    commands = [line for block in blocks("sh") for line in block.splitlines()]
    assert sorted(commands) == sorted(RUN_BY)
    for command, (path, words) in RUN_BY.items():
        assert words in source(path), f"{path} does not run: {command}"


def test_each_script_exists():
    for name in re.findall(r"\bscript/([\w-]+)", README):
        assert (ROOT / "script" / name).stat().st_mode & 0o111, name


def test_links_and_pictures_lead_somewhere():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), target


def test_settings_are_those_of_the_extension():
    built = dict(re.findall(r'(?:SETTING|CHOICE|BOOLEAN)\("(?:svcreg\.)?(\w+)", "([^"]*)"', source("ext/settings.c")))
    built["helper"] = ""
    told = {name.removeprefix("svcreg."): default for name, default, _ in table("Settings")}
    assert set(told) == set(built)
    for name, default in built.items():
        assert not default or told[name].startswith(default), f"svcreg.{name}: {default}"


def test_functions_are_those_of_the_extension():
    built = re.findall(r"^function (.+?) \{\}$", source("ext/svcreg.stub.php"), re.M)
    assert sorted(built) == sorted(row[0] for row in table("From PHP"))


@pytest.fixture
def helper(tmp_path):
    """Path of a control-less helper's HTTP socket: it serves one pool that is not there, and no Consul."""
    path = tmp_path / "health.sock"
    config = {
        "run_dir": str(tmp_path / "run"),
        "consul": {"url": "off"},
        "health_listen": [f"unix:{path}"],
        "pools": [{"name": "web", "listen": str(tmp_path / "web.sock"), "max_children": 1}],
    }
    (tmp_path / "run").mkdir()
    (tmp_path / "config.json").write_text(json.dumps(config))
    with running([HELPER, "serve", "--config", tmp_path / "config.json"], stderr=subprocess.PIPE) as process:
        until(lambda: path.exists() or process.poll() is not None, what="fpm-health")
        assert process.poll() is None, process.stderr.read()
        yield path


def test_endpoints_are_answered_by_the_helper(helper):
    for row in table("Endpoints"):
        for path in re.findall(r"/[\w/]*", row[0]):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(helper))
                client.sendall(f"GET {path.replace('POOL', 'web')} HTTP/1.0\r\n\r\n".encode())
                status = client.makefile().readline()
            if path == "/haproxy/POOL":
                assert " 404 " in status or " 503 " in status, path
            else:
                assert re.match(r"HTTP/1\.[01] (200|429|503) ", status), f"{path}: {status}"


def test_commands_of_the_helper_are_in_its_usage():
    usage = subprocess.run([HELPER, "--help"], check=True, capture_output=True, text=True).stdout
    for command, _ in table("Command line"):
        for word in re.findall(r"(?:fpm-health |`|\[)(--\w+|[a-z]\w+)", command):
            assert word in usage, command


def test_configuration_blocks_are_whole():
    for block in blocks("dockerfile"):
        assert block.startswith("FROM "), block
        for line in block.splitlines():
            shlex.split(line)


def test_the_documented_example_of_a_configuration_is_right(tmp_path):
    text = (ROOT / "docs" / "config.md").read_text()
    example = tmp_path / "config.json"
    example.write_text(re.search(r"```json\n(.*?)```", text, re.S)[1])
    done = subprocess.run([HELPER, "check-config", example], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_key_of_the_configuration_is_documented():
    keys = set(re.findall(r'^    \{"([a-z_]+)",', (ROOT / "fpm-health" / "config_fields.c").read_text(), re.M))
    documented = set(re.findall(r"`([a-z_]+)`", (ROOT / "docs" / "config.md").read_text()))
    assert keys and not keys - documented
