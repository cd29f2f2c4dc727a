"""The stack as a visitor and an operator see it: who answers, scaling under load, what a stop leaves behind."""

import json
import time

from conftest import eventually, fetch, moment, run
from load import Load

SCALED_UP_WITHIN_S = 10
NO_GHOST_AFTER_S = 5
UP_AGAIN_WITHIN_S = 15


def test_thirty_requests_reach_exactly_three_nodes_each_five_times_or_more(three_nodes):
    names = three_nodes.names(30)
    assert len(names) == 3, names
    assert min(names.values()) >= 5, names
    assert sorted(names) == three_nodes.passing()


def test_curl_names_a_node(three_nodes):
    name = run("curl", "-s", three_nodes.url + "?plain")
    assert name.endswith("\n")
    assert name.strip() in three_nodes.passing()


def test_consul_ui_answers(stack):
    assert "<title>Consul" in fetch(stack.consul_url + "/ui/")


def test_all_nodes_count_hits_in_the_same_redis(three_nodes):
    pages = [json.loads(fetch(three_nodes.url + "?json")) for _ in range(6)]
    totals = [page["redis"]["total"] for page in pages]
    assert totals == list(range(totals[0], totals[0] + 6))
    assert len({page["node"] for page in pages}) == 3


def test_ten_names_are_served_within_ten_seconds_of_the_last_start(three_nodes):
    three_nodes.scale(10)
    seen = set()

    def all_seen():
        seen.update(three_nodes.names(10))
        return len(seen) == 10

    eventually(all_seen, 30, "10 nodes answer")
    now = time.time()
    started = max(started_at(three_nodes, container) for container in three_nodes.containers("web"))
    print(f"10 names {now - started:.1f} s after the last container's start")
    assert now - started <= SCALED_UP_WITHIN_S


def started_at(stack, container):
    return moment(stack.inspect(container, "{{.State.StartedAt}}"))


def test_scale_down_under_load_loses_no_request_and_leaves_no_ghost(stack):
    if len(stack.containers("web")) != 10:
        stack.scale(10)
    stack.wait_passing(10, timeout=40)
    with (
        Load(stack.url + "?plain&sleep=50", clients=8, method="GET") as get,
        Load(stack.url + "?plain&sleep=50", clients=8, method="POST") as post,
        Load(stack.url + "?plain", clients=4, method="POST", keepalive=False, rate=40) as short,
    ):
        time.sleep(1)
        stack.scale(2)
        time.sleep(1)
    for load in (get, post, short):
        print(load.result)
        assert load.result.failed == 0, load.result
        assert load.result.total > 50
    survivors = stack.wait_passing(2, timeout=NO_GHOST_AFTER_S)
    time.sleep(NO_GHOST_AFTER_S)
    assert stack.catalog() == survivors
    assert stack.catalog("svcreg") == survivors
    assert set(stack.names(20)) == set(survivors)


def test_nodes_that_are_killed_instead_do_cost_requests(three_nodes):
    """The control: the load above would have noticed."""
    killed = three_nodes.containers("web")[:2]
    with Load(three_nodes.url + "?plain&sleep=200", clients=16, method="POST") as load:
        time.sleep(1)
        run("docker", "kill", *killed)
        time.sleep(1)
    print(load.result)
    assert load.result.failed > 0
    run("docker", "start", *killed)
    three_nodes.wait_passing(3)


def test_docker_stop_leaves_no_registration(three_nodes):
    container = three_nodes.containers("web")[0]
    node = three_nodes.inspect(container, "{{.Config.Hostname}}")
    assert node in three_nodes.catalog()
    begin = time.monotonic()
    run("docker", "stop", "--time=60", container)
    print(f"docker stop took {time.monotonic() - begin:.1f} s")
    assert node not in three_nodes.catalog()
    assert node not in three_nodes.catalog("svcreg")
    assert three_nodes.inspect(container, "{{.State.ExitCode}}") == "0"
    run("docker", "start", container)
    three_nodes.wait_passing(3)


def test_up_runs_twice_and_from_any_folder(three_nodes, tmp_path):
    before = three_nodes.containers("web")
    script = run("realpath", "script/up").strip()
    text = run("bash", "-c", f"cd {tmp_path} && {script} 3")
    assert "3 nodes serve" in text
    assert text.count(" healthy ") == 3, text
    assert three_nodes.containers("web") == before


def test_down_and_up_again_take_seconds_when_all_is_built(three_nodes):
    three_nodes.down()
    assert run("docker", "ps", "-q", "--filter", "label=com.docker.compose.project=svcreg") == ""
    begin = time.monotonic()
    three_nodes.up()
    took = time.monotonic() - begin
    print(f"script/up 3 with all built: {took:.1f} s")
    assert took <= UP_AGAIN_WITHIN_S
    assert len(three_nodes.names(12)) == 3


def test_the_helper_counts_workers_and_not_itself_where_fpm_is_pid_1(three_nodes):
    """As PID 1 the master is everybody's parent, the helper's too. It goes by titles for 50 looks, two a second."""

    def status():
        (pool,) = json.loads(three_nodes.inside(node, "fpm-health", "status", "--json"))["pools"]
        return pool["workers"]

    node = three_nodes.containers("web")[0]
    eventually(
        lambda: json.loads(three_nodes.inside(node, "fpm-health", "status", "--json"))["helper"]["uptime_s"] > 27,
        40,
        "a helper that has looked often enough",
    )
    assert status()["total"] == status()["max"] == 5
