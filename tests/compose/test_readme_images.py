"""The README's Dockerfiles build, and what they build serves."""

import re
import shutil

import pytest
from conftest import ROOT, eventually, run
from support import fcgi

OURS, OFFICIAL = re.findall(r"^```dockerfile\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)

# Debian's PHP in the places of the official image, where that one is not to be had.
STAND_IN = """FROM svcreg/base
RUN apt-install php8.4-fpm php8.4-dev && ln -s php-fpm8.4 /usr/sbin/php-fpm \\
 && sed -i 's/^listen = .*/listen = 9000/' /etc/php/8.4/fpm/pool.d/www.conf
ENV PHP_INI_DIR=/etc/php/8.4/fpm
CMD ["php-fpm", "-F"]
"""


@pytest.fixture
def serve(tmp_path):
    """serve(dockerfile, NAME): builds it in tmp_path, starts it without Consul -> its container and FastCGI address."""
    made = []

    def start(dockerfile, name):
        (tmp_path / "Dockerfile").write_text(dockerfile)
        run("docker", "build", "-t", f"svcreg/test-{name}", tmp_path, timeout=900)
        options = ["-e", "SVCREG_CONSUL=off", "-p", "127.0.0.1::9000"]
        container = run("docker", "run", "-d", *options, f"svcreg/test-{name}").strip()
        made.append((container, f"svcreg/test-{name}"))
        return container, run("docker", "port", container, "9000").strip()

    yield start
    for container, image in made:
        print(run("docker", "logs", container))
        run("docker", "rm", "-f", container)
        run("docker", "rmi", image)


def wait_healthy(container):
    def healthy():
        return run("docker", "exec", container, "fpm-health", "check", check=False).startswith("OK")

    eventually(healthy, 10, "fpm-health check")


def test_an_application_on_our_image_serves(serve, tmp_path):
    (tmp_path / "index.php").write_text("<?php echo 'mine on ', svcreg_pool();")
    container, address = serve(OURS, "ours")
    wait_healthy(container)
    assert fcgi.request(address, "/src/index.php").body == b"mine on web"


def test_the_official_image_with_svcreg_serves(serve, tmp_path):
    sources = ["VERSION", "config.m4", "Makefile.frag", "board", "ext", "fpm-health"]
    files = run("git", "ls-files", "-co", "--exclude-standard", *sources)
    for name in files.split():
        target = tmp_path / "svcreg" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    dockerfile = OFFICIAL
    if "php:8.4-fpm" not in run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}"):
        stand_in = tmp_path / "stand-in"
        stand_in.mkdir()
        (stand_in / "Dockerfile").write_text(STAND_IN)
        run("docker", "build", "-t", "svcreg/test-official", stand_in, timeout=600)
        dockerfile = OFFICIAL.replace("php:8.4-fpm", "svcreg/test-official")
    container, address = serve(dockerfile, "with-svcreg")
    wait_healthy(container)
    (tmp_path / "pool.php").write_text("<?php echo svcreg_pool();")
    run("docker", "cp", tmp_path / "pool.php", f"{container}:/tmp/pool.php")
    assert fcgi.request(address, "/tmp/pool.php").body == b"www"
