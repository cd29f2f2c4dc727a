"""Start, reload, death: what is registered, and who lives on."""

import os
import signal
import statistics
import subprocess
import time
from pathlib import Path

import pytest
from support import fcgi
from support.clock import Stopwatch, least
from support.consul import our_check
from support.descriptors import kinds
from support.load import Load
from support.processes import kill
from support.waiting import FULL, free_port, until


def descriptors(n):
    """What master and helper have open; the helper's connections to Consul come and go."""
    return kinds(n.pid), kinds(n.helper_pid(), "socket:")


@pytest.mark.parametrize("pm", ["static", "dynamic", "ondemand"])
@pytest.mark.parametrize("kind", ["unix", "tcp", "ipv6"])
def test_each_kind_of_pool_becomes_passing_and_is_gone_after_the_stop(node, consul, pm, kind):
    listen = {"unix": None, "tcp": f"127.0.0.1:{free_port()}", "ipv6": f"[::1]:{free_port()}"}[kind]
    own = {"pm": pm, "pm.start_servers": 1, "pm.min_spare_servers": 1, "pm.max_spare_servers": 2}
    with node(pools={"web": own | ({"listen": listen} if listen else {})}) as n:
        entry = n.wait_passing()
        service = entry["Service"]
        assert service["ID"] == n.service_id() and service["Meta"]["pm"] == pm
        assert service["Weights"]["Passing"] == 2
        assert n.request(n.page).body.startswith(f"{n.name} web".encode())
        assert n.stop() == 0
    consul.wait_gone(n.service())
    assert not n.helper_pids()


@pytest.mark.parametrize("timeout", ["10s", "0"])
def test_reloads_under_load_lose_nothing_with_a_control_timeout_and_keep_helper_and_descriptors(
    node, consul, record_property, timeout
):
    reloads = 100 if FULL else 5
    with node(pools={"web": {"pm.max_children": 4}}, top={"process_control_timeout": timeout}) as n:
        entry = n.wait_passing()
        helper = n.helper_pid()
        n.reload()
        before, sockets = descriptors(n), kinds(helper)["socket:"]
        with Load(n.listen(), n.page, 8, "ms=300", n.name.encode()) as load:
            for number in range(reloads):
                answered = load.answered
                until(lambda answered=answered: load.answered > answered + 4, 20, "the load goes on")
                n.reload()
                if number == 9:
                    until(lambda: descriptors(n) == before, 10, "descriptors after ten are as after one")
        until(lambda: n.status()["generation"] == reloads + 2, 5, "the helper takes over the new configuration")
        lost = sum(load.lost.values())
        print(f"control timeout {timeout}: {lost} of {load.answered + lost} requests lost over {reloads} reloads")
        record_property(f"lost_over_reloads_{timeout}", f"{lost}/{load.answered + lost}")
        until(lambda: descriptors(n) == before, 10, "descriptors are as after the first reload")
        until(lambda: kinds(helper)["socket:"] <= sockets + 1, 10, "connections are as after the first reload")
        assert n.helper_pid() == helper
        assert n.wait_passing()["Service"]["CreateIndex"] == entry["Service"]["CreateIndex"]
        assert (lost == 0) == (timeout != "0") and load.answered > 4 * reloads


OWN_ENVIRON = 'char **__environ; extern char **environ __attribute__((weak, alias("__environ")));'


def test_a_program_with_an_environ_of_its_own_is_reloaded_and_its_helper_has_the_whole_environment(node, consul):
    """As a PHP is that was linked otherwise than Debian's, such as one that was compiled where it is used."""
    n = node(environment=os.environ | {"SERVICE_REGION": "west"})
    library = n.directory / "environ.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-xc", "-o", library, "-"], input=OWN_ENVIRON, text=True, check=True)
    n.environment["LD_PRELOAD"] = str(library)
    with n:
        entry = n.wait_passing()
        helper = n.helper_pid()
        assert entry["Service"]["Meta"]["region"] == "west"
        assert b"SERVICE_REGION=west" in Path(f"/proc/{helper}/environ").read_bytes()
        n.reload()
        until(lambda: n.status()["generation"] == 2, 5, "the helper takes over the new configuration")
        assert n.helper_pid() == helper
        assert n.wait_passing()["Service"]["CreateIndex"] == entry["Service"]["CreateIndex"]


def test_a_reload_adds_changes_and_removes_pools(node, consul):
    with node(pools={"a": {}, "b": {}}) as n:
        n.wait_passing("a")
        n.wait_passing("b")
        n.pools["c"] = {"php_admin_value[svcreg.service]": n.service("c")}
        del n.pools["a"]
        n.pools["b"]["pm.max_children"] = 7
        n.write_config()
        n.reload()
        n.wait_passing("c")
        consul.wait_gone(n.service("a"))
        consul.wait(n.service("b"), lambda e: e and e[0]["Service"]["Weights"]["Passing"] == 7)


def test_a_reload_into_a_broken_configuration_is_deregistered(node, consul):
    with node() as n:
        n.wait_passing()
        n.config.write_text(n.config.read_text() + "no_such_key = 1\n")
        n.send_signal(signal.SIGUSR2)
        assert n.process.wait(10) == 78
        consul.wait_gone(n.service())
        until(lambda: not n.helper_pids(), 2, "the helper has gone")


def test_a_killed_helper_is_back_within_a_second_with_the_same_registration(node, consul):
    with node() as n:
        n.wait_passing()
        for _ in range(3):
            old = n.helper_pid()
            watch = Stopwatch(n.pid)
            os.kill(old, signal.SIGKILL)
            until(lambda old=old: n.helper_pids() not in ([], [old]) and n.status(), 3, "a new helper answers")
            assert watch.seconds(n.helper_pid()) < 1.0
        n.wait_passing()
        assert [s for s in consul.services() if s.startswith(f"svcreg:{n.name}:fpm:")] == [n.service_id()]
        assert not n.lines("unknown child")


def test_a_killed_master_is_critical_at_once_and_its_orphans_are_named(node, consul):
    n = node()

    def critical_s():
        with n:
            n.wait_passing()
            workers = until(lambda: len(w := n.workers()) == 2 and w, 2, "two workers")
            begin = time.perf_counter()
            n.process.kill()
            entry = consul.wait_status(n.service(), "critical")[0]
            took = time.perf_counter() - begin
            assert "orphan" in our_check(entry)["Output"]
            kill(*workers)
            consul.wait_gone(n.service())
            until(lambda: not n.helper_pids(), 2, "the helper has gone")
            return took

    took = [critical_s() for _ in range(20)] if FULL else [least(critical_s, 0.05)]
    low, middle, high = (value * 1000 for value in (min(took), statistics.median(took), max(took)))
    print(f"master killed -> critical after {low:.1f}/{middle:.1f}/{high:.1f} ms, {len(took)} runs")
    assert high < 50


def test_a_new_fpm_that_cannot_bind_for_orphans_leaves_no_ghost(node, consul):
    with node(pools={"web": {"listen": f"127.0.0.1:{free_port()}"}}) as n:
        n.wait_passing()
        orphans = until(lambda: len(w := n.workers()) == 2 and w, 2, "two workers")
        n.stop(signal.SIGKILL)
        consul.wait_status(n.service(), "critical")
        n.start(wait=False)
        assert n.process.wait(10) == 78 and n.lines("Address already in use")
        consul.wait_gone(n.service())
        until(lambda: not n.helper_pids(), 2, "the helper has gone")
        kill(*orphans)
        n.start()
        n.wait_passing()


def test_daemonized_it_is_the_masters_life_that_counts(node, consul):
    with node(way="-D") as n:
        assert n.process.wait(10) == 0
        n.wait_passing()
        assert n.status()["master"]["pid"] == n.pid
        time.sleep(0.3)
        assert consul.health(n.service(), passing=True), "the launcher's end is not the master's"
        n.stop()
        consul.wait_gone(n.service())
        until(lambda: not n.helper_pids(), 3, "the helper has gone")


def test_a_killed_worker_is_no_longer_counted(node):
    with node(pools={"web": {"pm.max_children": 2}}) as n:
        n.wait_passing()
        sock = fcgi.connect(n.listen())
        fcgi.send(sock, n.page, "ms=20000")
        until(lambda: n.pool_status()["workers"]["active"] == 1, 2, "one worker busy")
        busy = [p for p in n.workers() if os.path.exists(f"/proc/{p}")]
        kill(*busy)
        until(lambda: n.pool_status()["workers"]["active"] == 0, 2, "nobody busy")
        until(lambda: n.pool_status()["workers"]["total"] == 2, 2, "both workers again")
        sock.close()


def test_two_masters_on_one_host_do_not_meet(node, consul):
    with node() as a, node() as b:
        a.wait_passing()
        b.wait_passing()
        assert a.stop() == 0
        consul.wait_gone(a.service())
        assert consul.health(b.service(), passing=True)
