"""The daemon as it is built for use, under valgrind: what sanitizers can't see, memory that was never written."""

import signal

import pytest
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.waiting import free_port, until

pytestmark = pytest.mark.figures  # not built with sanitizers

START_S = 30
WRONG = 99  # exit status where valgrind has found something


@pytest.fixture
def checked(workdir):
    """The daemon as a command that runs under valgrind."""
    wrapper = workdir / "fpm-health"
    options = f"-q --error-exitcode={WRONG} --leak-check=full --errors-for-leak-kinds=definite,possible"
    wrapper.write_text(f'#!/bin/sh\nexec valgrind {options} {BIN} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def test_a_life_with_consul_probes_reloads_and_a_drain_is_clean(workdir, consul, checked, monkeypatch):
    with Fpm(workdir, {"web": {"pm.status_path": "/status"}, "api": {"listen": f"127.0.0.1:{free_port()}"}}) as fpm:
        script = fpm.script("page.php", "<?php echo 1;")
        pools = [
            {
                "name": "web",
                "listen": fpm.listen(),
                "max_children": 2,
                "service": "valgrind-web",
                "status_path": "/status",
            },
            {"name": "api", "listen": fpm.listen("api"), "service": "valgrind-api", "probe": script, "warmup": script},
            {"name": "gone", "listen": "/nowhere.sock", "service": "valgrind-gone"},
        ]
        monkeypatch.setattr("support.helper.BIN", str(checked))
        helper = Helper(workdir, pools, node="valgrind", master={"pid": fpm.pid}, consul={"url": consul.url})
        helper.start(wait=False)
        try:
            until(helper.answers, START_S, "it serves")
            for pool in ("web", "api"):
                helper.wait_state("healthy", pool, timeout=START_S)
                consul.wait_status(f"valgrind-{pool}", "passing", timeout=START_S)
            for path in ("/", "/metrics", "/status", "/health", "/haproxy/web", "/f5/api", "/consul/gone", "/nowhere"):
                assert helper.get(path)[0] in (200, 404, 503)
            helper.config["pools"] = pools[:2]
            helper.write_config()
            helper.process.send_signal(signal.SIGHUP)
            until(lambda: len(helper.status()["pools"]) == 2, START_S, "one has gone")
            helper.config_path.write_text('{"pools": [{"name": 1}]}')
            helper.process.send_signal(signal.SIGHUP)
            helper.wait_log("must be a string", timeout=START_S)
            helper.process.send_signal(signal.SIGTERM)
            code = helper.wait(START_S)
        finally:
            helper.process.kill()
            helper.process.wait()
        assert code == 0, helper.output.read_text()
