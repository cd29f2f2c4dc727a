"""Without the extension: a sidecar in one command, and a file that SIGHUP reads again."""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from support import fcgi, http
from support.consul import our_check
from support.fake_consul import FakeConsul
from support.fpm import Fpm
from support.helper import BIN, Helper, end
from support.waiting import free_port, free_ports, until

DRAIN_TIMEOUT_S, LEAVE_S = 1.0, 1.5  # drain.timeout_ms of the tests here, CONSUL_LEAVE_MS


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir, {"web": {"listen": f"127.0.0.1:{free_port()}"}}) as fpm:
        yield fpm


def test_one_command_serves_and_with_consul_registers(workdir, fpm, consul, serve, service):
    port = free_port()
    run_dir = str(workdir / "run")
    serve("--pool", f"{service}={fpm.listen()}", "--http", f":{port}", "--consul", consul.url, "--run-dir", run_dir)
    until(lambda: http.status(port, "/ready") == 200, what="ready")
    [entry] = consul.wait_status(service, "passing")
    assert (entry["Service"]["Address"], entry["Service"]["Port"]) == ("127.0.0.1", int(fpm.listen().split(":")[1]))
    pool = json.loads(http.get(port, "/status")[1])["pools"][0]
    assert (pool["name"], pool["state"], pool["registered"]) == (service, "healthy", True)


def test_a_user_without_rights_needs_no_more_than_the_pool(workdir, fpm, serve):
    """As a new user would try it: no run_dir that may be made, no root, an empty environment."""
    port = free_port()
    as_nobody = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] if os.geteuid() == 0 else []
    shutil.copy(BIN, workdir / "fpm-health")
    command = [*as_nobody, workdir / "fpm-health", "serve", "--pool", f"web={fpm.listen()}", "--http", f":{port}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]}) as process:
        try:
            until(lambda: http.status(port, "/ready") == 200, what="ready")
        finally:
            process.terminate()
            errors = process.communicate(timeout=5)[1]
    assert process.returncode == 0
    assert "/run/svcreg" in errors and "Permission denied" in errors, "that there is no control.sock is said"


def test_wrong_numbers_on_the_command_line_are_wrong_usage(fpm):
    for children in ("many", "-1", "5x", ""):
        command = [BIN, "serve", "--pool", f"web={fpm.listen()}", "--max-children", children]
        assert subprocess.run(command, capture_output=True, timeout=5).returncode == 64, children


@pytest.mark.parametrize("consul_hangs", [False, True], ids=["no_consul", "consul_hangs"])
def test_a_drain_that_never_gets_quiet_ends_the_sidecar_in_time(workdir, fpm, consul_hangs):
    answer = fine_until_it_hangs()
    drain = {"quiet_ms": 100, "probers_ms": 0, "timeout_ms": int(1000 * DRAIN_TIMEOUT_S)}
    pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2}]
    with FakeConsul(answer) as fake, fcgi.connect(fpm.listen()) as busy:
        with Helper(workdir, pools, drain=drain, consul={"url": fake.url if consul_hangs else "off"}) as helper:
            helper.wait_state("healthy")
            if consul_hangs:
                until(lambda: helper.pool()["registered"], what="registered")
                answer.hangs = True
            fcgi.send(busy, fpm.script("sleep.php", "<?php sleep(20);"))
            until(lambda: helper.pool()["workers"]["active"] == 1, what="one is busy")
            begin = time.monotonic()
            helper.process.send_signal(signal.SIGTERM)
            helper.wait_state("draining")
            assert helper.get("/haproxy/web")[0] == 404, "it answers while it drains"
            assert helper.wait(10) == 0
            took = time.monotonic() - begin
    assert DRAIN_TIMEOUT_S - 0.1 <= took <= DRAIN_TIMEOUT_S + LEAVE_S + 0.5


def fine_until_it_hangs():
    """A Consul that is fine until it hangs."""

    def answer(method, path):
        return None if answer.hangs else (200, b"{}")

    answer.hangs = False
    return answer


def test_sighup_registers_what_is_new_and_leaves_what_is_the_same_alone(workdir, fpm, consul, service):
    def pool(name, **more):
        return {"name": name, "listen": fpm.listen(), "service": f"{service}-{name}", **more}

    pools = [pool("same"), pool("gone"), pool("changed")]
    with Helper(workdir, pools, node=service, consul={"url": consul.url}) as helper:
        for one in pools:
            consul.wait_status(one["service"], "passing")
        until(lambda: helper.pool("same")["registered"], what="registered")
        since = helper.pool("same")["since"]
        index = consul.request("GET", f"/v1/health/service/{service}-same")[1]
        helper.config["pools"] = [pool("new"), pool("changed", tags=["blue"]), pool("same")]
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        consul.wait_status(f"{service}-new", "passing")
        consul.wait_gone(f"{service}-gone")
        consul.wait(f"{service}-changed", lambda entries: entries[0]["Service"]["Tags"] == ["blue"])
        assert our_check(consul.health(f"{service}-changed")[0])["Status"] == "passing", "proven already"
        assert consul.request("GET", f"/v1/health/service/{service}-same")[1] == index
        assert (helper.pool("same")["state"], helper.pool("same")["since"]) == ("healthy", since)
        assert helper.log_text().count("pool same:") == 1, "it never left its state"


def test_sighup_to_another_consul_or_node_leaves_no_ghost_behind(workdir, fpm, consul, own_consul, service):
    pools = [{"name": "web", "listen": fpm.listen(), "service": service}]
    with Helper(workdir, pools, node=service, consul={"url": consul.url}) as helper:
        consul.wait_status(service, "passing")
        helper.config["consul"] = {"url": own_consul.url}
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        own_consul.wait_status(service, "passing")
        consul.wait_gone(service)
        assert f"svcreg:{service}:test" not in consul.services()
        helper.config["node"] = f"{service}-2"
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        own_consul.wait(
            service, lambda entries: [e["Service"]["ID"] for e in entries] == [f"svcreg:{service}-2:test:web"]
        )
        helper.config["consul"] = {"url": "off"}
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        own_consul.wait_gone(service)
        assert helper.status()["consul"]["state"] == "off"
        assert helper.pool()["state"] == "healthy"


REFUSED = {
    "unknown_key": ({"colour": "blue"}, "colour: unknown key"),
    "wrong_type": ({"hang_timeout_ms": "10s"}, "hang_timeout_ms: must be a whole number"),
    "other_run_dir": ({"run_dir": "/tmp/elsewhere"}, "run_dir: can't change while the daemon runs"),
    "no_pools": ({"pools": None}, "pools: must be a list"),
}


@pytest.mark.parametrize("change, why", REFUSED.values(), ids=REFUSED.keys())
def test_sighup_refuses_a_bad_file_by_name_key_and_reason_each_time(workdir, fpm, change, why):
    with Helper(workdir, [{"name": "web", "listen": fpm.listen()}]) as helper:
        helper.wait_state("healthy")
        helper.config |= change
        helper.write_config()
        for times in (1, 2):
            helper.process.send_signal(signal.SIGHUP)
            helper.wait_log(f"{helper.config_path}: {why}; the last good configuration stays in force", count=times)
        assert helper.pool()["state"] == "healthy"
        until(lambda: why in helper.status()["helper"]["error"], what="status says it too")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_listeners_that_would_need_lost_rights_are_refused_and_the_old_ones_serve(workdir, fpm):
    health = workdir / "open" / "health.sock"
    health.parent.mkdir()
    health.parent.chmod(0o777)
    pools = [{"name": "web", "listen": fpm.listen()}]
    with Helper(
        workdir, pools, user="nobody", health_listen=[f"unix:{workdir}/health.sock", f"unix:{health}"]
    ) as helper:
        helper.wait_state("healthy")
        (workdir / "closed").mkdir(mode=0o700)
        helper.config["health_listen"] = [f"unix:{workdir}/closed/health.sock"]
        helper.write_config()
        helper.process.send_signal(signal.SIGHUP)
        helper.wait_log("health_listen, agent_listen: need rights that were given up")
        assert helper.get("/live", sock="open/health.sock")[0] == 200
        assert helper.process.poll() is None


def test_sighup_without_a_file_changes_nothing_and_says_so(workdir, fpm, serve):
    port = free_port()
    process = serve("--pool", f"web={fpm.listen()}", "--http", f"127.0.0.1:{port}", "--run-dir", str(workdir))
    until(lambda: http.status(port, "/ready") == 200, what="ready")
    process.send_signal(signal.SIGHUP)
    until(lambda: "no file to read again" in process.stderr.readline(), what="it says so")
    assert http.status(port, "/ready") == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have an /etc/hosts of its own")
def test_a_hosts_name_is_looked_up_again_at_sighup(workdir, consul, service):
    port, health = free_ports(2)
    hosts = workdir / "hosts"
    hosts.write_text("127.0.0.1 fpm.test\n")
    bound = ["unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh"]
    arguments = ["--pool", f"{service}=fpm.test:{port}", "--http", f"127.0.0.1:{health}", "--run-dir", str(workdir)]
    with (
        Fpm(workdir, {"web": {"listen": f"127.0.0.2:{port}"}}),
        subprocess.Popen([*bound, BIN, "serve", *arguments, "--consul", consul.url]) as process,
    ):
        try:
            [entry] = consul.wait_status(service, "critical")
            assert entry["Service"]["Address"] == "127.0.0.1", "nobody is there"
            hosts.write_text("127.0.0.2 fpm.test\n")  # into the file that is bound
            process.send_signal(signal.SIGHUP)
            until(lambda: http.status(health, "/ready") == 200, 10, "ready at the second")
            [entry] = consul.wait_status(service, "passing")
            assert entry["Service"]["Address"] == "127.0.0.2"
        finally:
            end(process)
