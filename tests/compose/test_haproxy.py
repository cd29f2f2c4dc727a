"""The HAProxy variant keeps nginx's promises: who answers, what scaling, drains, deaths and Consul's absence cost."""

import json
import time
import urllib.error
import urllib.request

import pytest
from conftest import assert_in_readme, assert_unprivileged, eventually, idle_allowance, moment, run, variant
from load import Load, assert_lossless
from support import fcgi

SILENCE_S = 2.5
WORKERS = 5


@pytest.fixture(scope="module")
def haproxy():
    with variant("haproxy", "haproxy.yml") as stack:
        yield stack


@pytest.fixture
def three_nodes(haproxy):
    if len(haproxy.containers("web")) != 3 or len(haproxy.passing()) != 3 or len(up(haproxy)) != 3:
        haproxy.up()
    eventually(lambda: list(servers(haproxy)) == haproxy.passing(), 10, "HAProxy has exactly the passing nodes")
    return haproxy


def node_of(stack, container):
    return stack.inspect(container, "{{.Config.Hostname}}")


def servers(stack):
    """-> node: what HAProxy says of it, for all that it knows"""
    (container,) = stack.containers("haproxy")
    rows = [json.loads(line) for line in stack.inside(container, "svcreg-haproxy", "status").splitlines()]
    return {row["id"].split(":")[1]: row for row in sorted(rows, key=lambda row: row["id"])}


def state(stack, node):
    return servers(stack).get(node, {}).get("state")


def noticed(stack, node):
    """-> when HAProxy itself last said that the node is down: to ask it in its container takes 0.1 s and more"""
    (container,) = stack.containers("haproxy")
    said = run("docker", "logs", "--timestamps", container).splitlines()
    return moment([line for line in said if f"{node}:9000 is DOWN, reason" in line][-1].split()[0])


def up(stack):
    return sorted(node for node, row in servers(stack).items() if row["state"] == "healthy")


def status_of(url):
    return int(run("curl", "-s", "-m", "5", "-o", "/dev/null", "-w", "%{http_code}", url))


def loads(stack, query="?plain&sleep=50", clients=6):
    return [Load(stack.url + query, clients=clients, method=method) for method in ("GET", "POST")]


def test_the_readme_starts_it(three_nodes):
    assert_in_readme(f"COMPOSE_FILE={three_nodes.environment['COMPOSE_FILE']} script/up 3")


def test_it_runs_unprivileged_with_a_read_only_root(three_nodes):
    assert_unprivileged(three_nodes, "haproxy")


def test_clients_are_told_to_let_go_of_an_idle_connection_before_haproxy_does(three_nodes):
    assert idle_allowance(three_nodes.url) == "timeout=60"


def test_thirty_requests_reach_exactly_three_nodes_each_five_times_or_more(three_nodes):
    names = three_nodes.names(30)
    assert sorted(names) == three_nodes.passing()
    assert min(names.values()) >= 5, names


@pytest.mark.parametrize(
    ("path", "status"), [("?plain", 200), ("index.php/more?plain", 404), ("nothing?plain", 404), ("no.php", 404)]
)
def test_a_path_that_names_no_php_file_is_for_the_page(three_nodes, path, status):
    assert status_of(three_nodes.url + path) == status


def test_scaling_up_and_down_under_load_loses_no_request_and_leaves_no_ghost(three_nodes):
    get, post = loads(three_nodes)
    with get, post, Load(three_nodes.url + "?plain", clients=4, method="POST", keepalive=False, rate=40) as short:
        time.sleep(0.5)
        three_nodes.scale(6)
        eventually(lambda: len(up(three_nodes)) == 6, 10, "six nodes are up")
        time.sleep(0.5)
        three_nodes.scale(2)
        time.sleep(1)
    assert_lossless(get, post, short)
    assert len(get.result.by_node) == 6
    survivors = three_nodes.wait_passing(2, timeout=5)
    eventually(lambda: list(servers(three_nodes)) == survivors, 10, "HAProxy has forgotten the others")
    assert three_nodes.catalog() == survivors
    assert set(three_nodes.names(20)) == set(survivors)


def test_a_drained_node_gets_nothing_new_and_comes_back(three_nodes):
    container = three_nodes.containers("web")[0]
    node = node_of(three_nodes, container)
    get, post = loads(three_nodes)
    with get, post:
        time.sleep(0.5)
        three_nodes.inside(container, "fpm-health", "drain", "--wait")
        assert state(three_nodes, node) == "draining"
        assert node not in three_nodes.names(12)
        three_nodes.inside(container, "fpm-health", "undrain")
        eventually(lambda: node in three_nodes.names(6), 5, "it answers again")
    assert_lossless(get, post)


def test_the_death_of_a_container_costs_no_get_and_is_seen_in_time(three_nodes):
    container = three_nodes.containers("web")[0]
    node = node_of(three_nodes, container)
    with Load(three_nodes.url + "?plain&sleep=50", clients=8) as get:
        time.sleep(0.5)
        run("docker", "kill", container)
        eventually(lambda: state(three_nodes, node) == "down", 5, "HAProxy sees it down")
        time.sleep(0.5)
    took = noticed(three_nodes, node) - moment(three_nodes.inspect(container, "{{.State.FinishedAt}}"))
    print(f"down after {took:.2f} s")
    assert took <= SILENCE_S
    assert_lossless(get)
    run("docker", "start", container)
    three_nodes.wait_passing(3)
    eventually(lambda: len(up(three_nodes)) == 3, 10, "it is back, if under another address")


def test_a_death_costs_posts_in_flight_so_the_load_does_see_losses(three_nodes):
    container = three_nodes.containers("web")[0]
    with Load(three_nodes.url + "?plain&sleep=300", clients=12, method="POST") as post:
        time.sleep(0.5)
        run("docker", "kill", container)
        time.sleep(0.5)
    print(post.result)
    assert 0 < post.result.failed <= WORKERS
    run("docker", "start", container)
    three_nodes.wait_passing(3)


def test_a_frozen_node_slows_no_request_that_starts_later(three_nodes):
    container = three_nodes.containers("web")[0]
    node = node_of(three_nodes, container)
    run("docker", "pause", container)
    try:
        time.sleep(SILENCE_S)
        assert state(three_nodes, node) == "down"
        with Load(three_nodes.url + "?plain", clients=4, rate=60) as get:
            time.sleep(5)
    finally:
        run("docker", "unpause", container)
    assert_lossless(get)
    assert get.result.slowest_ms < 1000
    assert node not in get.result.by_node
    eventually(lambda: state(three_nodes, node) == "healthy", 5, "HAProxy has it back")


def test_a_node_whose_workers_are_all_asleep_keeps_no_request_that_starts_later(three_nodes):
    """`maxconn`: HAProxy gives a node no more than its pool has workers; what comes later waits for whoever is free."""
    container = three_nodes.containers("web")[0]
    node = node_of(three_nodes, container)
    address = three_nodes.inspect(container, "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    asleep = [fcgi.connect(f"{address}:9000") for _ in range(WORKERS)]
    for sock in asleep:
        fcgi.send(sock, "/src/index.php", "plain&sleep=9000")
    with Load(three_nodes.url + "?plain", clients=30, rate=60) as early:
        time.sleep(SILENCE_S)
        with Load(three_nodes.url + "?plain", clients=30, rate=60) as late:
            time.sleep(4)
        early.stopping.set()  # before anybody wakes: no client works off what it could not send meanwhile
        for sock in asleep:
            fcgi.receive(sock)
            sock.close()
    print(early.result, late.result)
    assert early.result.failed == late.result.failed == 0
    assert late.result.slowest_ms < 1000
    assert node not in late.result.by_node
    assert sum(latency > 1 for latency in early.result.latencies) <= WORKERS


def test_the_weight_follows_the_load(three_nodes):
    idle = {100}
    eventually(lambda: {row["weight"] for row in servers(three_nodes).values()} == idle, 5, "all of it")
    with Load(three_nodes.url + "?plain&sleep=2000", clients=3 * 3) as busy:
        eventually(lambda: max(row["weight"] for row in servers(three_nodes).values()) <= 60, 5, "half the weight")
        busy.stopping.set()
    assert busy.result.failed == 0
    eventually(lambda: {row["weight"] for row in servers(three_nodes).values()} == idle, 5, "all of it again")


def test_nobody_is_turned_away_while_every_worker_is_busy(three_nodes):
    with Load(three_nodes.url + "?plain&sleep=500", clients=4 * 3 * WORKERS) as busy:
        time.sleep(4)
    print(busy.result)
    assert busy.result.failed == 0


def test_without_any_node_visitors_are_told_to_come_back(three_nodes):
    containers = three_nodes.containers("web")
    run("docker", "stop", *containers)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(three_nodes.url + "?plain", timeout=5)
    assert error.value.code == 503
    assert error.value.headers["Retry-After"] == "1"
    run("docker", "start", *containers)
    three_nodes.wait_passing(3)
    eventually(lambda: len(up(three_nodes)) == 3, 10, "HAProxy has them back")


def test_without_consul_it_serves_on_even_after_a_restart(three_nodes):
    (consul,), (haproxy,) = three_nodes.containers("consul"), three_nodes.containers("haproxy")
    get, post = loads(three_nodes)
    with get, post:
        time.sleep(0.5)
        run("docker", "stop", consul)
        time.sleep(3)
    assert_lossless(get, post)
    run("docker", "restart", haproxy)
    eventually(lambda: len(up(three_nodes)) == 3, 10, "the last list is in force")
    assert len(three_nodes.names(9)) == 3
    run("docker", "start", consul)
    three_nodes.wait_passing(3)


def test_a_consul_that_lost_its_data_costs_nothing(three_nodes):
    (consul,) = three_nodes.containers("consul")
    get, post = loads(three_nodes)
    with get, post:
        time.sleep(0.5)
        three_nodes.inside(consul, "sh", "-c", "rm -rf /var/lib/consul/*")
        run("docker", "kill", consul)
        run("docker", "start", consul)
        three_nodes.wait_passing(3, timeout=30)
        time.sleep(1)
    assert_lossless(get, post)
    assert len(up(three_nodes)) == 3
