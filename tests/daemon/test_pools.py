"""Stand-alone, with a real FPM and no board: what is seen of a pool from outside, and the command line."""

import contextlib
import grp
import os
import pwd
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from support import fcgi
from support.clock import SELF, Stopwatch
from support.consul import our_check
from support.fpm import Fpm, Held
from support.helper import BIN, Helper
from support.processes import is_stopped, state
from support.waiting import free_port, until

IDLE_S = 10


@pytest.fixture(params=["unix", "tcp"])
def fpm(request, workdir):
    own = {"tcp": {"listen": f"127.0.0.1:{free_port()}"}, "ipv6": {"listen": f"[::1]:{free_port()}"}}
    with Fpm(workdir, {"web": {"pm.max_children": 2, **own.get(request.param, {})}}) as fpm:
        yield fpm


@pytest.fixture
def helper(workdir, fpm):
    master = {"pid": fpm.pid}
    pools = [{"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 2}]
    with Helper(workdir, pools, master=master) as helper:
        helper.wait_state("healthy")
        yield helper


@pytest.fixture
def held(fpm):
    held = Held(fpm)
    yield held
    held.release()


@pytest.fixture
def occupy(fpm, held):
    """Sends `count` requests that last until `held.release()`; their answers are read in the background."""

    def occupy(count):
        for _ in range(count):
            sock = fcgi.connect(fpm.listen())
            fcgi.send(sock, held.script)
            threading.Thread(target=fcgi.finish, args=(sock,), daemon=True).start()

    return occupy


@pytest.mark.parametrize("fpm", ["unix", "tcp", "ipv6"], indirect=True)
def test_saturation_is_degraded_with_the_true_queue_and_ends(helper, held, occupy):
    occupy(2 + 8)
    helper.wait_state("degraded", timeout=3)
    pool = helper.pool()
    assert pool["reason"] == "saturated"
    assert pool["queue"]["length"] == 8
    assert pool["workers"] == {"max": 2, "total": 2, "active": 2, "idle": 0}
    assert helper.get("/consul/web")[0] == 429
    watch = Stopwatch(SELF, helper.process.pid)
    for _ in range(200):
        assert helper.get("/haproxy/web")[0] == 200
    assert watch.seconds() / 200 < 0.005
    assert helper.pool()["queue"]["length"] == 8, "a probe of ours queued up"
    held.release()
    helper.wait_state("healthy", timeout=10)


def test_a_crowd_that_gathered_while_it_was_frozen_is_saturation_at_once(workdir, fpm, held, occupy, consul):
    """Neither the first answer nor the first word to Consul after that is of before."""
    pool = {"name": "web", "listen": fpm.listen(), "max_children": 2, "service": "frozen"}
    with Helper(workdir, [pool], master={"pid": fpm.pid}, consul={"url": consul.url}) as helper:
        consul.wait_status("frozen", "passing")
        # asleep: what it is in the midst of it finishes first when it goes on, a word to Consul too
        until(lambda: state(helper.process.pid) == "S", every=0)
        helper.process.send_signal(signal.SIGSTOP)
        consul.wait_status("frozen", "critical")
        occupy(2 + 8)
        with socket.socket(socket.AF_UNIX) as prober:
            prober.connect(str(workdir / "health.sock"))
            prober.sendall(b"GET /consul/web HTTP/1.0\r\n\r\n")
            helper.process.send_signal(signal.SIGCONT)
            answer = prober.makefile().read()
        assert answer.startswith("HTTP/1.1 429"), answer
        words = consul.wait(
            "frozen", lambda entries: [s for e in entries if (s := our_check(e)["Status"]) != "critical"]
        )
        assert words == ["warning"]


def test_workers_whose_clients_do_not_let_them_go_are_busy_too(helper, fpm):
    """They have answered, and FPM says that they are idle; but a worker takes nobody else until its client closes."""
    script = fpm.script("at-once.php", "<?php echo 'done';")
    with contextlib.ExitStack() as stack:
        for _ in range(2 + 8):
            fcgi.send(stack.enter_context(fcgi.connect(fpm.listen())), script)
        helper.wait_state("degraded", timeout=3)
        assert helper.pool()["reason"] == "saturated"
        assert helper.pool()["queue"]["length"] == 8
    helper.wait_state("healthy", timeout=10)


def test_stopped_workers_are_down_once_requests_wait(helper, fpm, held, occupy):
    held.release()
    workers = fpm.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        until(lambda: all(map(is_stopped, workers)), what="the workers are stopped")
        occupy(3)
        assert helper.wait_state("down", timeout=3) < 1
        assert helper.pool()["reason"].startswith("stopped")
        assert helper.get("/live")[0] == 503
        assert helper.cli("check", "--live").returncode == 1
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    assert helper.wait_state("healthy", timeout=3) < 1.5


def test_busy_workers_asleep_are_alive(helper, occupy):
    occupy(2)
    until(lambda: helper.pool()["workers"]["active"] == 2, what="both are busy")
    assert helper.pool()["state"] == "healthy"
    assert helper.get("/live")[0] == 200


def test_a_socket_that_goes_is_down_and_back_only_after_a_good_answer(workdir):
    pools = {"web": {"listen": f"127.0.0.1:{free_port()}"}}
    with Fpm(workdir, pools) as fpm, Helper(workdir, [{"name": "web", "listen": fpm.listen()}]) as helper:
        helper.wait_state("healthy")
        fpm.stop()
        assert helper.wait_state("down") < 1
        assert helper.pool()["reason"] == "socket is gone"
        fpm.start()
        helper.wait_state("healthy")
        log = helper.log_text()
        assert log.count("healthy -> down: socket is gone") == 1
        assert log.count("pool web:") == 3 + log.count("down -> starting")


def test_a_listener_that_is_no_fpm_never_passes(workdir):
    port = free_port()
    server = subprocess.Popen(
        ["python3", "-c", f"import socket\ns = socket.create_server(('127.0.0.1', {port}))\n"
         "while True:\n c, _ = s.accept(); c.recv(999); c.sendall(b'HTTP/1.1 200 OK\\r\\n\\r\\n'); c.close()"]
    )  # fmt: skip
    try:
        with Helper(workdir, [{"name": "web", "listen": f"127.0.0.1:{port}"}]) as helper:
            until(lambda: "no FastCGI" in helper.pool()["reason"], what="the reason names it")
            assert helper.pool()["state"] == "starting"
            assert helper.get("/ready")[0] == 503
    finally:
        server.kill()
        server.wait()


def test_the_status_page_counts_workers_and_requests_where_the_kernel_can_not(workdir):
    own = {"listen": f"127.0.0.1:{free_port()}", "pm.status_path": "/fpm-status", "pm.max_children": 3}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "status_path": "/fpm-status"}]
        with Helper(workdir, pools) as helper:
            helper.wait_state("healthy")
            until(lambda: helper.pool()["workers"]["total"] == 3, what="workers are known")
            assert helper.pool()["workers"]["active"] == 0
            script = fpm.script("a.php", "<?php echo 1;")
            for _ in range(5):
                fpm.request(script)
            until(lambda: helper.pool()["requests"] == 5, what="five requests, our own not counted")


def test_check_says_state_and_figures_with_nagios_exit_codes(helper, occupy):
    until(lambda: helper.pool()["workers"]["active"] == 0, what="nobody is busy, with a ping neither")
    good = helper.cli("check", "web")
    assert good.returncode == 0
    assert re.fullmatch(r"OK - web healthy \| active=0 idle=2 queue=0;;;0;\d+\n", good.stdout)
    assert helper.cli("check").returncode == 0
    assert helper.cli("check", "nope").returncode == 3
    assert helper.cli("check", "a", "b").returncode == 3
    helper.cli("maint", "on", "--reason", "a | b")
    bad = helper.cli("check", "web")
    assert bad.returncode == 2
    assert bad.stdout.startswith("CRITICAL - web maintenance: a / b |")


def test_drain_waits_for_running_requests(helper, held, occupy):
    occupy(1)
    until(lambda: helper.pool()["workers"]["active"] == 1, what="one is busy")
    threading.Timer(1.2, held.release).start()
    assert helper.cli("drain", "web", "--wait").returncode == 0
    assert not held.gate.exists(), "it waited for the request"
    assert helper.get("/haproxy/web")[0] == 404
    assert helper.cli("undrain", "web").returncode == 0
    assert helper.pool()["state"] == "healthy"


def test_drain_gives_up_at_its_timeout(helper, occupy):
    occupy(1)
    until(lambda: helper.pool()["workers"]["active"] == 1, what="one is busy")
    assert helper.cli("drain", "--wait", "--timeout", "300ms").returncode == 1


def test_a_drain_waits_until_a_known_prober_was_told(workdir, fpm):
    pools = [{"name": "web", "listen": fpm.listen()}]
    drain = {"quiet_ms": 50, "probers_ms": 5000, "timeout_ms": 10000}
    with Helper(workdir, pools, drain=drain) as helper:
        helper.wait_state("healthy")
        assert helper.get("/haproxy/web")[0] == 200
        helper.cli("drain")
        time.sleep(0.5)
        assert helper.pool()["drain"] == "settling"
        assert helper.get("/haproxy/web")[0] == 404
        until(lambda: helper.pool()["drain"] == "quiet", 1, "quiet once the prober knows")


def test_sigterm_drains_and_exits_0_alone(helper):
    helper.process.send_signal(signal.SIGTERM)
    helper.wait_state("draining")
    assert helper.wait(5) == 0


def test_sighup_takes_over_the_file_and_refuses_a_bad_one(helper):
    good = helper.config["pools"]
    helper.config["pools"] = [*good, {"name": "api", "listen": "/nonexistent"}]
    helper.write_config()
    helper.process.send_signal(signal.SIGHUP)
    until(lambda: len(helper.status()["pools"]) == 2, what="two pools")
    assert helper.pool()["state"] == "healthy"
    helper.config_path.write_text("{")
    helper.process.send_signal(signal.SIGHUP)
    helper.wait_log("the last good configuration stays in force")
    assert len(helper.status()["pools"]) == 2


def test_serve_pool_needs_no_file(workdir, fpm):
    port = free_port()
    command = [
        BIN,
        "serve",
        "--pool",
        f"web={fpm.listen()}",
        "--http",
        f"127.0.0.1:{port}",
        "--run-dir",
        workdir / "run",
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        check = [BIN, "check", "--run-dir", workdir / "run"]
        until(lambda: subprocess.run(check, capture_output=True).returncode == 0, what="check is OK")
        live = [BIN, "check", "--live", "--run-dir", workdir / "run"]
        assert subprocess.run(live, capture_output=True).returncode == 0
        process.terminate()
        assert process.wait(5) == 0
        assert not (workdir / "run" / "fpm-health" / "control.sock").exists()
    finally:
        process.kill()


def test_exit_codes_tell_wrong_usage_and_wrong_configuration_apart(workdir):
    def code(*arguments):
        return subprocess.run([BIN, *arguments], capture_output=True).returncode

    bad, good = workdir / "bad.json", workdir / "good.json"
    bad.write_text('{"pools": 1}')
    good.write_text('{"pools": [{"name": "web", "listen": "*:9000"}]}')
    assert code() == 64
    assert code("brew") == 64
    assert code("serve") == 64
    assert code("serve", "--pool", "web") == 64
    assert code("serve", "--config", bad) == 78
    assert code("check-config", bad) == 78
    assert code("check-config", good) == 0
    assert code("status", "--run-dir", workdir) == 69
    assert code("check", "--run-dir", workdir) == 3
    assert code("check", "--live", "--run-dir", workdir) == 1
    assert code("--version") == 0
    assert code("--help") == 0


def test_several_instances_must_be_named(workdir, fpm):
    def serve(name):
        command = [BIN, "serve", "--pool", f"web={fpm.listen()}", "--instance", name, "--run-dir", workdir / "run"]
        return subprocess.Popen(command, stderr=subprocess.DEVNULL)

    both = [serve("one"), serve("two")]
    try:
        until(lambda: len(list((workdir / "run").glob("*/control.sock"))) == 2, what="both serve")
        status = [BIN, "status", "--run-dir", workdir / "run"]
        unnamed = subprocess.run(status, capture_output=True, text=True)
        assert unnamed.returncode == 64
        assert "one" in unnamed.stderr
        assert "two" in unnamed.stderr
        assert subprocess.run([*status, "--instance", "two"], capture_output=True).returncode == 0
    finally:
        for process in both:
            process.kill()
            process.wait()


@pytest.mark.figures
@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_an_idle_helper_wakes_at_most_five_times_a_second(workdir, kind):
    own = {"tcp": lambda: {"listen": f"127.0.0.1:{free_port()}"}, "unix": dict}[kind]
    names = [f"p{i}" for i in range(10)]
    with (
        Fpm(workdir, {name: {"pm.max_children": 1} | own() for name in names}) as fpm,
        Helper(workdir, [{"name": name, "listen": fpm.listen(name)} for name in names]) as helper,
    ):
        helper.wait_state("healthy", "p9")
        time.sleep(4)

        def switches():
            text = helper.proc("status")
            return int(re.search(r"^voluntary_ctxt_switches:\s*(\d+)", text, re.M)[1])

        before = switches()
        time.sleep(IDLE_S)
        assert (switches() - before) / IDLE_S <= 5, "four are for looks, and the pings of ten pools share one every 5 s"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop rights")
def test_root_is_left_behind_and_control_sock_is_the_users_alone(workdir, fpm):
    pools = [{"name": "web", "listen": fpm.listen()}]
    with Helper(workdir, pools, user="nobody") as helper:
        helper.wait_state("healthy")
        status = helper.proc("status")
        uid = pwd.getpwnam("nobody").pw_uid
        assert re.search(r"^Uid:\s+(\d+)\s+(\d+)\s+(\d+)", status, re.M).groups() == (str(uid),) * 3
        assert re.search(r"^CapEff:\s+0+$", status, re.M)
        assert re.search(r"^NoNewPrivs:\s+1$", status, re.M)
        control = (helper.run_dir / "control.sock").stat()
        assert (control.st_mode & 0o777, control.st_uid) == (0o600, uid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can drop rights")
def test_a_socket_that_may_not_be_opened_is_judged_by_listen_and_idle_workers(workdir):
    own = {"listen.mode": "0600", "pm.max_children": 2}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2}]
        with Helper(workdir, pools, user="nobody", master={"pid": fpm.pid}) as helper:
            helper.wait_state("healthy")
            assert helper.pool()["ping_allowed"] is False


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a socket away, and drop rights")
@pytest.mark.parametrize("group", ["games", str(grp.getgrnam("games").gr_gid), None])
def test_the_group_of_a_pools_socket_is_kept_for_its_sake_when_root_is_left_behind(workdir, group):
    own = {"listen.mode": "0660", "listen.owner": "root", "listen.group": group or "games"}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2, "listen_group": group or "root"}]
        with Helper(workdir, pools, user="nobody", master={"pid": fpm.pid}) as helper:
            helper.wait_state("healthy")
            assert helper.pool()["ping_allowed"] is (group is not None)
            groups = set(re.search(r"^Groups:\s*(.*)$", helper.proc("status"), re.M)[1].split())
            games, root = str(grp.getgrnam("games").gr_gid), "0"
            assert (games in groups, root in groups) == (group is not None, False)


@pytest.mark.parametrize("family", ["127.0.0.1", "[::1]"])
@pytest.mark.parametrize(
    ("allowed", "us_too"),
    [("192.0.2.7", False), ("192.0.2.7, {own}", False), ("192.0.2.7,{own}", True)],
    ids=["others", "us_behind_a_space", "us_too"],
)
def test_a_pool_that_lets_in_others_only_is_not_asked_and_not_called_down(workdir, family, allowed, us_too):
    port = free_port()
    allowed = allowed.format(own=family.strip("[]"))
    own = {"listen": f"{family}:{port}", "listen.allowed_clients": allowed}
    with Fpm(workdir, {"web": own}) as fpm:
        pools = [{"name": "web", "listen": fpm.listen(), "max_children": 2, "allowed_clients": allowed}]
        with Helper(workdir, pools, master={"pid": fpm.pid}) as helper:
            helper.wait_state("healthy")
            assert helper.pool()["ping_allowed"] is us_too
            until(lambda: helper.pool()["workers"]["idle"] == 2, 5, "FPM has forked all workers")
            assert "disallowed" not in fpm.log_text(), "FPM would log each of our tries"
