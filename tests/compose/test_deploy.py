"""script/deploy under load: a good version replaces every node, a bad one stops at its first, without a loss."""

import os
import subprocess
import time

import pytest
from conftest import ROOT, assert_in_readme, run, variant
from load import Load

IMAGES = "svcreg-test-deploy"
NAME = f"{IMAGES}/php-fpm"

# The second node that starts of it fails its warm-up, and so does each later one.
ONLY_ONE = """COPY warmup.php /opt/warmup.php
ENV SVCREG_WARMUP=/opt/warmup.php
"""
WARMUP = """<?php
$redis = new Redis();
$redis->connect('redis');
$redis->setnx('the-one', gethostname());
http_response_code($redis->get('the-one') === gethostname() ? 200 : 500);
"""
VERSIONS = {
    "good": "ENV RELEASE=good",
    "better": "ENV RELEASE=better",
    "never-ready": "ENV SVCREG_READY=manual",
    "no-warm-up": "ENV SVCREG_WARMUP=/src/does-not-exist.php",
    "broken-fpm": "ENV PHP_FPM_PM=nonsense",
    "no-command": 'CMD ["does-not-exist"]',
    "only-one": ONLY_ONE,
}
BAD = {
    "never-ready": "waiting for svcreg_ready()",
    "no-warm-up": "File not found.",
    "broken-fpm": "unable to parse value for entry 'pm'",
    "no-command": "does-not-exist",
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    """-> name: image, all made of the image under test, beside the names that this stack uses"""
    folder = tmp_path_factory.mktemp("versions")
    (folder / "warmup.php").write_text(WARMUP)
    images = {name: f"{IMAGES}/php-fpm:{name}" for name in VERSIONS}
    for name, lines in VERSIONS.items():
        (folder / "Dockerfile").write_text(f"FROM svcreg/php-fpm:latest\n{lines}\n")
        run("docker", "build", "-t", images[name], folder)
    for name in ("php-fpm", "nginx"):
        run("docker", "tag", f"svcreg/{name}:latest", f"{IMAGES}/{name}:latest")
    yield images
    listed = run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={IMAGES}/*")
    run("docker", "rmi", *listed.split())


@pytest.fixture(scope="module")
def shop(versions):
    run("script/images", "php-fpm", "nginx", "consul", "redis", timeout=1500)
    with variant("deploy", SVCREG_IMAGES=IMAGES) as stack:
        yield stack


def deploy(stack, *options):
    """-> what script/deploy did, while GET and POST went on without a loss"""
    with (
        Load(stack.url + "?plain&sleep=50", clients=4) as get,
        Load(stack.url + "?plain&sleep=50", clients=4, method="POST") as post,
        Load(stack.url + "?plain", clients=2, method="POST", keepalive=False, rate=20) as short,
    ):
        time.sleep(0.5)
        command = ["script/deploy", *options]
        done = subprocess.run(
            command, cwd=ROOT, env=stack.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        time.sleep(0.5)
    print(done.stdout)
    for load in (get, post, short):
        print(load.result)
        assert load.result.failed == 0, load.result
        assert load.result.total > 20
    return done


def image_id(name):
    return run("docker", "image", "inspect", "--format", "{{.Id}}", name).strip()


def images_of(stack):
    return {stack.inspect(container, "{{.Image}}") for container in stack.containers("web")}


def test_a_good_version_replaces_every_node_and_costs_nothing(shop, versions):
    before = shop.passing()
    former = image_id(f"{NAME}:latest")
    done = deploy(shop, "--image", versions["good"])
    assert done.returncode == 0
    assert done.stdout.count(" serves after ") == 3
    assert images_of(shop) == {image_id(versions["good"])} == {image_id(f"{NAME}:latest")}
    assert image_id(f"{NAME}:previous") == former
    assert len(shop.passing()) == 3
    assert not set(shop.passing()) & set(before)
    assert shop.catalog() == shop.passing()


def test_afterwards_compose_scales_the_new_version_and_there_is_nothing_to_do(shop, versions):
    before = shop.containers("web")
    shop.scale(4)
    shop.wait_passing(4)
    assert set(before) < set(shop.containers("web"))
    assert images_of(shop) == {image_id(f"{NAME}:latest")}
    done = deploy(shop)
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    shop.scale(3)
    assert len(shop.wait_passing(3)) == 3


def test_the_readmes_command_builds_what_changed_first(shop, versions):
    assert_in_readme("script/deploy --build")
    done = deploy(shop, "--build")
    assert done.returncode == 0
    assert "up to date: consul redis" in done.stdout
    assert "nothing to do" in done.stdout


def test_a_dry_run_says_what_it_would_replace_and_changes_nothing(shop, versions):
    nodes, name = shop.passing(), image_id(f"{NAME}:latest")
    done = deploy(shop, "--image", versions["better"], "--dry-run")
    assert done.returncode == 0
    assert "3 of 3 nodes are outdated" in done.stdout
    assert all(node in done.stdout for node in nodes)
    assert shop.passing() == nodes
    assert image_id(f"{NAME}:latest") == name


@pytest.mark.parametrize("version", BAD)
def test_a_bad_version_stops_after_its_first_node_and_says_why(shop, versions, version):
    nodes, name = shop.passing(), image_id(f"{NAME}:latest")
    done = deploy(shop, "--image", versions[version], "--timeout", "5")
    assert done.returncode == 1
    assert done.stdout.count("is not ready after") == 1
    assert BAD[version] in done.stdout
    assert shop.passing() == shop.catalog() == nodes
    assert images_of(shop) == {name} == {image_id(f"{NAME}:latest")}
    assert image_id(f"{NAME}:failed") == image_id(versions[version])


def test_a_version_that_fails_midway_is_taken_back_everywhere(shop, versions):
    name = image_id(f"{NAME}:latest")
    done = deploy(shop, "--image", versions["only-one"], "--timeout", "5")
    assert done.returncode == 1
    assert "going back to" in done.stdout
    assert images_of(shop) == {name} == {image_id(f"{NAME}:latest")}
    assert len(shop.passing()) == 3
    assert shop.catalog() == shop.passing()


def test_the_former_version_is_one_command_away(shop, versions):
    good = image_id(f"{NAME}:latest")
    assert deploy(shop, "--image", versions["better"]).returncode == 0
    assert images_of(shop) == {image_id(versions["better"])}
    assert deploy(shop, "--image", f"{NAME}:previous").returncode == 0
    assert images_of(shop) == {good}


def test_without_a_stack_it_says_how_to_start_one():
    env = {**os.environ, "COMPOSE_PROJECT_NAME": "svcreg-test-nothing"}
    done = subprocess.run(["script/deploy"], cwd=ROOT, env=env, text=True, capture_output=True)
    assert done.returncode == 1
    assert "no node runs" in done.stderr
    assert "script/up" in done.stderr
