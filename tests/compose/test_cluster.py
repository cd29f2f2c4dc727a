"""The cluster variant: three Consul servers, and web nodes that are hosts with an agent of their own."""

import time

import pytest
from conftest import assert_in_readme, assert_unprivileged, eventually, moment, run, variant
from load import Load, assert_lossless

SERVERS = ["consul-1", "consul-2", "consul-3"]
AGENT_BACK_S = 5
GOSSIP_S = 2.5
LEADER_S = 10
RECONCILED_S = 65  # a leaving agent may just enter its host anew; the leader compares catalog and members once a minute


@pytest.fixture(scope="module")
def cluster():
    with variant("cluster", "cluster.yml") as stack:
        yield stack


@pytest.fixture
def three_hosts(cluster):
    if len(cluster.containers("web")) != 3 or len(cluster.passing()) != 3:
        cluster.up()
    return cluster


def hosts(stack):
    return sorted(stack.inspect(container, "{{.Config.Hostname}}") for container in stack.containers("web"))


def members(stack):
    """-> name: status of all that gossip knows, as the agent of a host sees it"""
    lines = stack.inside(stack.containers("web")[0], "consul", "members").splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines}


def alive(stack):
    return sorted(name for name, status in members(stack).items() if status == "alive")


def said_at(stack, text):
    """-> when a server last logged this, by its own clock: asking it through Docker takes a while on a busy machine"""
    (container,) = stack.containers("consul")
    line = [line for line in run("docker", "logs", container).splitlines() if text in line][-1]
    return moment(line.split()[0])


def unhealthy(stack):
    return [check for check in stack.consul("/v1/health/state/any") if check["Status"] != "passing"]


def both_loads(stack):
    return (
        Load(stack.url + "?plain&sleep=50", clients=4, method="GET"),
        Load(stack.url + "?plain&sleep=50", clients=4, method="POST"),
    )


def test_the_readme_starts_it(three_hosts):
    assert_in_readme(f"COMPOSE_FILE={three_hosts.environment['COMPOSE_FILE']} script/up 3")


@pytest.mark.parametrize("service", ["web", "consul", "consul-2", "consul-3"])
def test_hosts_and_servers_run_unprivileged_with_a_read_only_root(three_hosts, service):
    assert_unprivileged(three_hosts, service)


def test_three_servers_and_an_agent_beside_each_node_are_all_healthy(three_hosts):
    assert alive(three_hosts) == sorted([*SERVERS, *hosts(three_hosts)])
    eventually(lambda: unhealthy(three_hosts) == [], 5, "every check in Consul's UI is passing")
    peers = three_hosts.consul("/v1/operator/raft/configuration")["Servers"]
    assert sorted(peer["Node"] for peer in peers) == SERVERS
    assert all(peer["Voter"] for peer in peers)


def test_a_service_belongs_to_the_agent_of_its_own_host(three_hosts):
    entries = three_hosts.consul("/v1/health/service/web?passing")
    assert sorted(entry["Node"]["Node"] for entry in entries) == hosts(three_hosts)
    for entry in entries:
        assert entry["Service"]["ID"].split(":")[1] == entry["Node"]["Node"]


def test_scaling_adds_and_removes_whole_hosts_and_loses_no_request(three_hosts):
    three_hosts.scale(5)
    three_hosts.wait_passing(5)
    get, post = both_loads(three_hosts)
    with get, post:
        time.sleep(1)
        three_hosts.scale(3)
        time.sleep(1)
    assert_lossless(get, post)
    survivors = hosts(three_hosts)
    assert alive(three_hosts) == sorted([*SERVERS, *survivors])
    assert set(members(three_hosts).values()) <= {"alive", "left"}
    assert three_hosts.catalog() == survivors

    def only_members_are_known():
        known = sorted(entry["Node"] for entry in three_hosts.consul("/v1/catalog/nodes"))
        return known == sorted([*SERVERS, *survivors])

    eventually(only_members_are_known, RECONCILED_S, "Consul forgets the hosts that left")


def test_a_host_that_is_killed_is_out_by_gossip_and_comes_back_as_the_same_member(three_hosts):
    container = three_hosts.containers("web")[-1]
    name = three_hosts.inspect(container, "{{.Config.Hostname}}")
    begin = time.time()
    run("docker", "kill", container)
    eventually(lambda: members(three_hosts)[name] == "failed", GOSSIP_S * 4, "gossip calls it failed")
    took = said_at(three_hosts, f"EventMemberFailed: {name} ") - begin
    print(f"failed after {took:.2f} s")
    assert took <= GOSSIP_S
    assert name not in three_hosts.passing()
    run("docker", "start", container)
    eventually(lambda: members(three_hosts)[name] == "alive", 10, "it is a member again")
    three_hosts.wait_passing(3)


def test_an_agent_that_is_killed_comes_back_and_no_request_notices(three_hosts):
    container = three_hosts.containers("web")[0]
    get, post = both_loads(three_hosts)
    with get, post:
        time.sleep(1)
        three_hosts.inside(container, "sh", "-c", "kill -KILL $(pidof consul)")
        eventually(lambda: len(three_hosts.passing()) == 3, AGENT_BACK_S, "all pass")
        time.sleep(1)
    assert_lossless(get, post)
    assert "the agent ended with 137, starting it again" in run("docker", "logs", container)


def service_of(server):
    """The first of the servers is the service that all variants of the stack have."""
    return server.replace("consul-1", "consul")


def leader(stack, asked):
    """-> the name of the server that leads, as the server `asked` knows it; None while there is none"""
    (container,) = stack.containers(service_of(asked))
    for line in stack.inside(container, "consul", "operator", "raft", "list-peers", "-stale", check=False).splitlines():
        if " leader " in line:
            return line.split()[0]
    return None


def test_the_loss_of_the_leading_server_costs_no_request_and_another_leads(three_hosts):
    lost = leader(three_hosts, SERVERS[0])
    asked = next(server for server in SERVERS if server != lost)
    (container,) = three_hosts.containers(service_of(lost))
    get, post = both_loads(three_hosts)
    with get, post:
        time.sleep(1)
        run("docker", "kill", container)
        begin = time.monotonic()
        eventually(lambda: leader(three_hosts, asked) not in (None, lost), LEADER_S, "another server leads")
        print(f"another leads after {time.monotonic() - begin:.1f} s")
        time.sleep(1)
    assert_lossless(get, post)
    run("docker", "start", container)
    three_hosts.wait_passing(3)
    eventually(lambda: unhealthy(three_hosts) == [], 15, "all is well again")
