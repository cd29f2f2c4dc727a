"""The images as they run in the stack: without root, rights or tools, with Registrator's names, from a registry."""

import json
import shutil
import subprocess
import time
import urllib.request

import pytest
from conftest import ROOT, assert_unprivileged, eventually, fetch, run
from support.waiting import free_port

SERVICES = ["web", "nginx", "consul", "redis"]
HARDENED = ["--read-only", "--cap-drop=ALL", "--tmpfs=/run/svcreg:uid=33,gid=33", "--tmpfs=/tmp:uid=33,gid=33"]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
TOOLS = ["cc", "gcc", "c++", "ld", "as", "make", "phpize", "go"]


@pytest.mark.parametrize("service", SERVICES)
def test_containers_run_unprivileged_with_a_read_only_root(stack, service):
    assert_unprivileged(stack, service)


@pytest.mark.parametrize("service", SERVICES)
def test_containers_become_healthy(stack, service):
    container = stack.containers(service)[0]
    eventually(lambda: stack.inspect(container, "{{.State.Health.Status}}") == "healthy", 30, f"{service} healthy")


@pytest.mark.parametrize("image", ["php-fpm", "nginx", "consul", "redis"])
def test_images_contain_no_compiler(stack, image):
    search = f"command -v {' '.join(TOOLS)}; true"
    found = run("docker", "run", "--rm", "--network=none", f"svcreg/{image}", "sh", "-c", search)
    assert found == ""


@pytest.mark.parametrize("image", ["php-fpm", "nginx"])
def test_images_say_what_they_are_and_how_they_stop(stack, image):
    config = json.loads(run("docker", "image", "inspect", "--format", "{{json .Config}}", f"svcreg/{image}:latest"))
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == (ROOT / "VERSION").read_text().strip()
    assert labels["licenses"]
    assert labels["description"]
    assert config["StopSignal"] == "SIGQUIT"
    assert config["User"] == "www-data"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_fpm_is_the_first_process(stack):
    container = stack.containers("web")[0]
    assert "php-fpm: master process" in stack.inside(container, "cat", "/proc/1/cmdline")


def env(**variables):
    return [f"--env={name}={value}" for name, value in variables.items()]


@pytest.fixture
def extra_node(stack):
    """-> a function that runs one more php-fpm container beside the stack"""
    started = []

    def start(*options, image="svcreg/php-fpm:latest"):
        joined = [f"--network={stack.network}", "-e", "CONSUL_HTTP_ADDR=consul:8500"]
        container = run("docker", "run", "-d", *HARDENED, *joined, *options, image).strip()
        started.append(container)
        return container

    yield start
    for container in started:
        run("docker", "stop", "--time=60", container)
        run("docker", "rm", container)


def test_registrators_environment_names_tags_and_describes_the_service(stack, extra_node):
    extra_node(*env(SERVICE_NAME="shop", SERVICE_TAGS="blue,eu", SERVICE_REGION="north", PHP_FPM_MAX_CHILDREN="2"))
    stack.wait_passing(1, service="shop")
    service = stack.consul("/v1/health/service/shop?passing")[0]["Service"]
    assert sorted(service["Tags"]) == ["blue", "eu"]
    assert {key.lower(): value for key, value in service["Meta"].items()}["region"] == "north"
    assert service["Meta"]["pm"] == "static"
    assert service["Weights"]["Passing"] == 2


def test_settings_of_svcreg_and_fpm_come_from_the_environment(extra_node):
    container = extra_node(*env(SVCREG_NODE="blue-7", SVCREG_TTL="3s", PHP_FPM_PM="ondemand", SERVICE_IGNORE="1"))
    shown = run("docker", "exec", container, "php-fpm8.4", "-i")
    for line in ("svcreg.node => blue-7 => blue-7", "svcreg.ttl => 3s => 3s", "svcreg.drain_timeout => 25s => 25s"):
        assert line in shown
    tested = run("docker", "exec", container, "php-fpm8.4", "-tt", check=False)
    assert "pm = ondemand" in tested
    assert "process_control_timeout = 30s" in tested


@pytest.fixture
def registry(tmp_path):
    """-> host:port of Debian's docker-registry, with storage of its own, as a plain process"""
    address = f"127.0.0.1:{free_port()}"
    config = tmp_path / "registry.yml"
    storage = {"filesystem": {"rootdirectory": str(tmp_path / "data")}}
    config.write_text(
        json.dumps({"version": 0.1, "log": {"level": "warn"}, "storage": storage, "http": {"addr": address}})
    )
    program = shutil.which("docker-registry")
    assert program, "this test needs Debian's docker-registry"
    with open(tmp_path / "registry.log", "w") as log:
        process = subprocess.Popen([program, "serve", config], stdout=log, stderr=log)

    def answers():
        assert process.poll() is None, (tmp_path / "registry.log").read_text()
        try:
            return fetch(f"http://{address}/v2/")
        except OSError:
            return None

    eventually(answers, 10, "the registry answers")
    yield address
    process.terminate()
    process.wait(10)


def assert_complete(repository, digest):
    """Every layer is in the registry: a machine that has none of them can pull."""
    manifest = json.loads(fetch_bytes(f"{repository}/manifests/{digest}"))
    for blob in [manifest["config"], *manifest["layers"]]:
        assert len(fetch_bytes(f"{repository}/blobs/{blob['digest']}")) == blob["size"]


def fetch_bytes(url):
    with urllib.request.urlopen(
        urllib.request.Request(url, headers={"Accept": f"{MANIFEST}, */*"}), timeout=30
    ) as answer:
        return answer.read()


def test_a_pushed_image_serves_after_it_was_pulled(stack, extra_node, registry):
    run("script/images", "--push", "team", "--registry", registry, timeout=600)
    for image in ("php-fpm", "nginx"):
        tags = json.loads(fetch(f"http://{registry}/v2/team/{image}/tags/list"))["tags"]
        assert sorted(tags) == [(ROOT / "VERSION").read_text().strip(), "latest"]

    name = f"{registry}/team/php-fpm:latest"
    digests = run("docker", "image", "inspect", "--format", "{{range .RepoDigests}}{{println .}}{{end}}", name)
    digest = next(line for line in digests.split() if line.startswith(registry))
    assert_complete(f"http://{registry}/v2/team/php-fpm", digest.split("@")[1])

    run("docker", "rmi", name, name.replace("latest", (ROOT / "VERSION").read_text().strip()))
    run("docker", "pull", digest)
    extra_node(*env(SERVICE_NAME="pulled"), image=digest)
    stack.wait_passing(1, service="pulled")


def test_the_push_of_an_unreachable_registry_fails_with_advice():
    command = ["script/images", "--push", "127.0.0.1:9/team"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, timeout=120)
    assert done.returncode == 1
    assert "127.0.0.1:9/team/php-fpm" in done.stderr
    assert "docker login 127.0.0.1:9" in done.stderr
    run("docker", "rmi", f"127.0.0.1:9/team/php-fpm:{(ROOT / 'VERSION').read_text().strip()}")


def test_a_node_is_healthy_and_serves_without_consul():
    begin = time.monotonic()
    container = run("docker", "run", "-d", "--rm", *HARDENED, "svcreg/php-fpm").strip()
    try:
        live = ["docker", "exec", container, "fpm-health", "check", "--live"]
        eventually(lambda: subprocess.run(live, capture_output=True).returncode == 0, 10, "live")
        print(f"live after {time.monotonic() - begin:.1f} s")
    finally:
        run("docker", "stop", "--time=60", container)
