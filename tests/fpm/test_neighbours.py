"""Beside other extensions, under opcache's JIT and preloading, and under valgrind."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.node import ROOT, SO

# Where apcu.so and its like are, if not where PHP has them.
OTHERS = os.environ.get("SVCREG_OTHER_EXTENSIONS")
SOURCES = [path.name for folder in ("ext", "board") for path in (ROOT / folder).glob("*.[ch]")]
OUR_FILES = re.compile(rf"\((?:{'|'.join(map(re.escape, SOURCES))}):\d+\)")


@pytest.fixture(scope="module")
def extension_dir():
    command = ["php", "-n", "-r", "echo ini_get('extension_dir');"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def works(n):
    """Registered, answering, counting, stopping, without a word of complaint."""
    with n:
        n.wait_passing()
        script = n.script("x.php", "<?php echo svcreg_pool(), count(svcreg_status()['pools']);")
        for _ in range(5):
            assert n.request(script).body == b"web1"
        n.reload()
        n.wait_passing()
        assert n.request(script).body == b"web1"
        assert n.stop() == 0
    assert not n.lines("exited on signal") and not n.lines("Warning") and not n.lines("unknown child")
    n.consul.wait_gone(n.service())


@pytest.mark.parametrize("position", range(4))
def test_it_loads_beside_apcu_xdebug_and_pcov_in_any_order(node, extension_dir, position):
    found = {name: Path(OTHERS or extension_dir) / f"{name}.so" for name in ("apcu", "xdebug", "pcov")}
    missing = [name for name, path in found.items() if not path.exists()]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    loads = [("zend_extension" if name == "xdebug" else "extension", path) for name, path in found.items()]
    loads.insert(position, ("extension", SO))
    n = node()
    del n.ini["extension"]
    n.options = ["-n", *(argument for key, path in loads for argument in ("-d", f"{key}={path}"))]
    works(n)


@pytest.mark.parametrize("jit", ["tracing", "function"])
def test_it_works_under_opcaches_jit(node, extension_dir, jit):
    opcache = {"zend_extension": extension_dir / "opcache.so", "opcache.enable": 1}
    works(node(ini=opcache | {"opcache.jit": jit, "opcache.jit_buffer_size": "16M"}, options=["-n"]))


@pytest.mark.skipif(os.geteuid() != 0, reason="preload_user needs root")
@pytest.mark.parametrize("way", ["-F", "-D"])
def test_preloading_under_another_user_makes_no_second_master(node, extension_dir, way):
    n = node(ini={"zend_extension": extension_dir / "opcache.so", "opcache.preload_user": "www-data"}, way=way)
    n.options = ["-n", "-d", f"opcache.preload={n.script('preload.php', '<?php function preloaded() {}')}"]
    with n:
        n.wait_passing()
        assert n.request(n.script("x.php", "<?php preloaded(); echo svcreg_pool();")).body == b"web"
        helper = n.helper_pid()
        n.reload()
        assert n.request(n.page).body.startswith(n.name.encode())
        n.wait_passing()
        assert n.helper_pid() == helper and n.status()["master"]["pid"] == n.pid
        assert n.stop() == 0
    n.consul.wait_gone(n.service())


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_valgrind_finds_no_error_and_no_leak_of_ours(node):
    n = node(environment=os.environ | {"ZEND_DONT_UNLOAD_MODULES": "1", "USE_ZEND_ALLOC": "0"})
    n.directory.chmod(0o777)  # the workers write there too
    binary, *arguments = n.command()
    memcheck = ["valgrind", "--leak-check=full", "--show-leak-kinds=definite", "--num-callers=30"]
    memcheck.append(f"--log-file={n.directory}/valgrind.%p")
    n.command = lambda: [*memcheck, binary, "-n", *arguments]
    n.start(wait=False)
    n.wait_ready(timeout=60)
    try:
        n.wait_passing(timeout=60)
        script = n.script("x.php", "<?php svcreg_unready('x'); svcreg_ready(); svcreg_status(); phpinfo(INFO_MODULES);")
        for _ in range(3):
            assert n.request(script, timeout=60).status == 200
        n.reload()
        assert n.request(script, timeout=60).status == 200
        n.wait_passing(timeout=60)
        assert n.stop(timeout=60) == 0
    finally:
        n.kill()
    reports = [path.read_text() for path in n.directory.glob("valgrind.*")]
    findings = [part for report in reports for part in re.split(r"\n==\d+== \n", report)]
    assert len(reports) >= 2 and "HEAP SUMMARY" in "".join(reports)
    assert not [part for part in findings if OUR_FILES.search(part)]
