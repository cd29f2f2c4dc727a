"""`fpm-health maint` is Consul's own maintenance mode, whatever happens to the helper or the agent meanwhile."""

import urllib.parse

import pytest
from support import board as boards
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import until


@pytest.fixture
def board(workdir):
    board = boards.Board({"web": 2})
    yield board
    board.close()


@pytest.fixture
def helper(request, workdir, board):
    """A helper that the extension would have started, with Consul `agent` and a service of the test's name."""
    agent = request.getfixturevalue(getattr(request, "param", "consul"))
    name = request.node.name.replace("_", "-")[:60]
    with Fpm(workdir) as fpm:
        board.set_master(fpm.pid)
        pool = {"name": "web", "listen": fpm.listen(), "pm": "static", "max_children": 2, "service": name}
        with Helper(workdir, [pool], board=board, node=name, consul={"url": agent.url}) as helper:
            helper.service = name
            helper.service_id = f"svcreg:{name}:test:web"
            agent.wait_status(name, "passing")
            yield helper


def mode(agent, helper):
    """The notes of Consul's maintenance check for the service, or None."""
    check = agent.get("/v1/agent/checks").get(f"_service_maintenance:{helper.service_id}")
    return check and check["Notes"]


def test_maint_on_and_off_are_seen_in_consul(helper, consul):
    assert mode(consul, helper) is None
    helper.cli("maint", "on", "--reason", "new disk & more")
    until(lambda: mode(consul, helper) == "fpm-health maint: new disk & more", 1, "Consul's own mode")
    [entry] = consul.wait_status(helper.service, "critical")
    assert next(c for c in entry["Checks"] if c["CheckID"].endswith(":ttl"))["Output"] == "maintenance: new disk & more"
    helper.cli("maint", "off")
    until(lambda: mode(consul, helper) is None, 1, "undone")
    consul.wait_status(helper.service, "passing")


def test_a_helper_that_follows_another_keeps_it(helper, consul):
    helper.cli("maint", "on")
    until(lambda: mode(consul, helper), what="on")
    index = consul.request("GET", f"/v1/health/service/{helper.service}")[1]
    helper.process.kill()
    helper.process.wait()
    helper.start()
    until(lambda: helper.pool()["registered"], what="registered")
    helper.wait_state("maintenance")
    assert mode(consul, helper) == "fpm-health maint"
    assert consul.request("GET", f"/v1/health/service/{helper.service}")[1] == index, "it was off for a moment"
    helper.cli("maint", "off")
    until(lambda: mode(consul, helper) is None, 1, "undone")


def test_what_was_switched_off_while_no_helper_ran_is_undone(helper, consul, board):
    helper.cli("maint", "on")
    until(lambda: mode(consul, helper), what="on")
    helper.process.kill()
    helper.process.wait()
    board.info().maintenance = 0
    helper.start()
    until(lambda: mode(consul, helper) is None, 2, "undone")
    consul.wait_status(helper.service, "passing")


def test_what_an_operator_switched_on_in_consul_is_left_alone(helper, consul):
    path = f"/v1/agent/service/maintenance/{helper.service_id}?enable=true&reason={urllib.parse.quote('by hand')}"
    consul.put(path)
    helper.process.kill()
    helper.process.wait()
    helper.start()
    until(lambda: helper.pool()["registered"], what="registered")
    helper.wait_state("healthy")
    consul.wait_status(helper.service, "passing")
    assert mode(consul, helper) == "by hand"


@pytest.mark.parametrize("helper", ["own_consul"], indirect=True)
def test_an_agent_that_lost_everything_is_told_again(helper, own_consul):
    helper.cli("maint", "on")
    until(lambda: mode(own_consul, helper), what="on")
    own_consul.stop()
    own_consul.start()
    until(lambda: mode(own_consul, helper) == "fpm-health maint", 3, "on again")
