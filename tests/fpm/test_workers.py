"""Slots, counters and the PHP functions inside real workers."""

import json
import os
import time

import pytest
from support import fcgi
from support.clock import least
from support.descriptors import opened
from support.fpm import BIN, Held
from support.waiting import until

LOOK_S = 0.6  # the helper has looked at the board again


def requests(n):
    return n.pool_status()["requests"]


@pytest.mark.parametrize(
    "source",
    [
        "echo 1;",
        "exit(3);",
        "undefined_function();",
        "throw new Exception('x');",
        "ini_set('memory_limit', '2M'); str_repeat('x', 9000000);",
        "fastcgi_finish_request(); usleep(1000);",
        "set_time_limit(1); while (true);",
    ],
)
def test_each_request_is_counted_once_and_its_worker_is_idle_again(node, source):
    with node(pools={"web": {"pm.max_children": 1}}, consul=None) as n:
        n.wait_state("healthy")
        script = n.script("x.php", f"<?php {source}")
        for _ in range(3):
            n.request(script, timeout=60)  # a second of CPU time for the last of them: busy machines take longer
        until(lambda: requests(n) == 3, 2, "three requests")
        until(lambda: n.pool_status()["workers"]["active"] == 0, 2, "nobody busy")


def test_a_forked_child_does_not_end_its_parents_request(node):
    source = """<?php
    $libc = FFI::cdef('int fork(void); void _exit(int); int waitpid(int pid, void *status, int options);');
    if (($pid = $libc->fork()) === 0) { $libc->_exit(0); }
    $libc->waitpid($pid, null, 0);
    file_put_contents('%s', 'x');
    require '%s';
    """
    with node(pools={"web": {"pm.max_children": 1}}, consul=None, ini={"ffi.enable": "1"}) as n:
        n.wait_state("healthy")
        held, ended = Held(n), n.directory / "ended"
        ended.touch()
        ended.chmod(0o666)
        script = n.script("x.php", source % (ended, held.script))
        with fcgi.connect(n.listen()) as sock:
            fcgi.send(sock, script)
            until(ended.read_text, what="the child has ended")
            time.sleep(LOOK_S)
            assert n.pool_status()["workers"]["active"] == 1
            held.release()
            fcgi.receive(sock)
            until(lambda: n.pool_status()["workers"]["active"] == 0, 2, "nobody busy")


def test_our_own_pings_are_no_traffic(node):
    with node() as n:
        n.wait_passing()
        time.sleep(1)
        assert requests(n) == 0


def test_requests_are_right_when_workers_come_and_go(node):
    with node(pools={"web": {"pm.max_children": 2, "pm.max_requests": 3}}, consul=None) as n:
        n.wait_state("healthy")
        for _ in range(20):
            n.request(n.page)
        until(lambda: requests(n) == 20, 2, "twenty requests")


def test_unready_and_ready_act_on_the_verdict_within_50_ms(node):
    with node() as n:
        n.wait_passing()
        unready = n.script("x.php", "<?php var_dump(svcreg_unready('warming cache'));")
        ready = n.script("y.php", "<?php svcreg_ready();")

        unready_s, ready_s = [], []

        def seen_s():
            start = time.monotonic()
            assert n.request(unready).body == b"bool(true)\n"
            entry = n.consul.wait_status(n.service(), "critical")[0]
            unready_s.append(time.monotonic() - start)
            assert any("starting: warming cache" in c["Output"] for c in entry["Checks"])
            start = time.monotonic()
            n.request(ready)
            n.wait_passing()
            ready_s.append(time.monotonic() - start)
            print(f"unready seen in Consul after {unready_s[-1]:.3f} s, ready after {ready_s[-1]:.3f} s")
            return max(min(unready_s), min(ready_s))

        assert least(seen_s, 0.05) < 0.05


def test_only_the_callers_pool_is_held_back(node, consul):
    with node(pools={"a": {}, "b": {}}) as n:
        n.wait_passing("a")
        n.wait_passing("b")
        n.request(n.script("x.php", "<?php svcreg_unready('no');"), pool="a")
        n.wait_state("starting", "a")
        assert n.pool_status("b")["state"] == "healthy"


def test_manual_readiness_waits_for_the_pool(node, consul):
    with node(pools={"web": {"php_admin_value[svcreg.ready]": "manual"}}) as n:
        consul.wait_status(n.service(), "critical")
        time.sleep(0.5)
        assert n.pool_status()["state"] == "starting"
        n.request(n.script("x.php", "<?php svcreg_ready();"))
        n.wait_passing()


def test_readiness_survives_helper_and_reload(node):
    with node() as n:
        n.wait_passing()
        n.request(n.script("x.php", "<?php svcreg_unready('held');"))
        n.wait_state("starting")
        os.kill(n.helper_pid(), 9)
        until(lambda: n.status(), 3, "a new helper")
        n.wait_state("starting")
        n.reload()
        until(lambda: n.status()["generation"] == 2, 2, "the new configuration")
        assert n.pool_status()["reason"] == "held"


def test_status_in_php_is_the_helpers_status(node):
    with node(pools={"a": {}, "b": {}}) as n:
        n.wait_passing("a")
        n.wait_passing("b")
        script = n.script("x.php", "<?php echo json_encode(svcreg_status());")
        in_php = json.loads(n.request(script, pool="a").body)
        outside = n.status()
        assert in_php.keys() <= outside.keys()
        for mine, theirs in zip(in_php["pools"], outside["pools"], strict=True):
            assert mine.keys() <= theirs.keys()
            for key in ("name", "listen", "service", "service_id", "state", "registered"):
                assert mine[key] == theirs[key], key
        for key in ("version", "node", "instance", "generation", "master", "consul"):
            assert in_php[key] == outside[key], key


def test_workers_under_another_user_with_a_cleared_environment_know_their_node(node):
    environment = os.environ | {"SVCREG_NODE": "from-environment"}
    own = {"clear_env": "yes", "user": "nobody", "group": "nogroup"}
    n = node(pools={"web": own}, environment=environment, consul=None)
    del n.ini["svcreg.node"]
    with n:
        n.wait_state("healthy")
        assert n.request(n.page).body.startswith(b"from-environment web")


def test_a_worker_keeps_only_its_own_pools_part_of_the_board(node):
    with node(pools={"a": {}, "b": {}}, consul=None) as n:
        n.wait_state("healthy", "a")
        maps = "file_get_contents('/proc/self/maps')"
        count = f"preg_match_all('/%s.*svcreg-board/', {maps})"
        script = n.script("x.php", f"<?php echo {count % ''}, ' ', {count % 'rw-s '};")
        parts, writable = n.request(script, pool="a").body.split()
        assert (int(parts), int(writable)) == (2, 1)
        names = [name for pid in n.workers("a") for name in opened(pid)]
        assert names and not any("svcreg-board" in name for name in names)


def test_a_worker_that_fpm_terminates_or_that_crashes_is_no_longer_counted(node):
    own = {"pm.max_children": 1, "request_terminate_timeout": "1s"}
    with node(pools={"web": own}, consul=None, ini={"ffi.enable": "1"}) as n:
        n.wait_state("healthy")
        crash = "FFI::cdef('int raise(int);')->raise(11);"
        for source in ("usleep(30000000);", crash):
            with fcgi.connect(n.listen()) as sock:
                fcgi.send(sock, n.script("x.php", f"<?php {source}"))
                until(lambda: n.lines("exited on signal"), 5, "the worker has gone")
            n.log.write_text("")
            until(lambda: n.pool_status()["workers"] == idle_of(1), 3, "one worker, idle")
        n.request(n.page)
        until(lambda: requests(n) == 3, 2, "three requests")


def idle_of(count):
    return {"max": count, "total": count, "active": 0, "idle": count}


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_workers_in_a_chroot_know_node_and_pool_and_act_on_it(node):
    n = node(pools={"jail": {}})
    jail = n.directory / "jail"
    jail.mkdir()
    n.pools["jail"] |= {"chroot": jail, "chdir": "/", "security.limit_extensions": ".php"}
    (jail / "x.php").write_text(
        "<?php echo svcreg_node(), ' ', svcreg_pool(), ' ', svcreg_status()['pools'][0]['state'];"
    )
    (jail / "y.php").write_text("<?php svcreg_unready('from the jail');")
    with n:
        n.wait_passing("jail")
        assert n.request("/x.php", pool="jail").body == f"{n.name} jail healthy".encode()
        n.request("/y.php", pool="jail")
        n.wait_state("starting", "jail")
        assert n.pool_status("jail")["reason"] == "from the jail"


def test_a_worker_whose_title_is_cut_knows_its_pool_by_its_socket(node):
    long = "a-name-that-is-longer-than-all-of-fpms-arguments-together-" + 160 * "x"
    n = node(pools={f"{long}1": {}, f"{long}2": {}}, consul=None, environment={})
    settings = n.directory / "i"
    settings.write_text("".join(f'{name} = "{value}"\n' for name, value in n.ini.items()))
    n.command = lambda: [BIN, "-F", "-c", str(settings), "-y", str(n.config)]
    for number in "12":
        n.pools[long + number]["listen"] = f"{n.directory}/{number}.sock"
    with n:
        assert not n.workers(f"{long}1"), "the title is whole"
        for number in "12":
            assert n.request(n.page, pool=long + number).body.split()[1] == (long + number).encode()


def test_requests_to_the_hidden_status_pool_are_nobodys(node):
    own = {"pm.status_path": "/status"}
    n = node(pools={"web": own}, consul=None)
    own_socket = f"{n.directory}/status.sock"
    n.pools["web"]["pm.status_listen"] = own_socket
    with n:
        n.wait_state("healthy")
        for _ in range(3):
            assert b"pool:" in fcgi.request(own_socket, "/status").body
        n.request(n.page)
        until(lambda: requests(n) == 1, 2, "one request")
        n.wait_state("healthy")
