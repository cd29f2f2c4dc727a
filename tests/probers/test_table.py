"""docs/probers.md is held to the program: each cell of its table, in each state, and the paths that it recommends."""

import re

import pytest
from lab import EXAMPLES, Web
from support import wire
from support.helper import Helper, listens
from support.waiting import free_ports

PAGE = (EXAMPLES.parent / "probers.md").read_text()
STATES = ("healthy", "degraded", "starting", "draining", "maintenance", "down")


def table(heading):
    """Rows of the table below a heading, by their first cell."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in rows}


TABLE = table("What each sees in each state")


class Waiting:
    """Stands for a Web whose pool has not started."""

    def __init__(self, directory):
        self.http, self.agent = free_ports(2)
        self.helper = Helper(
            directory, [{"name": "web", "listen": "/nowhere"}], **listens(directory, self.http, self.agent)
        )

    def __enter__(self):
        self.helper.start()
        return self

    def __exit__(self, *_):
        self.helper.stop()


@pytest.fixture(params=STATES)
def state(request, workdir):
    """(the state, a node that is in it)"""
    name = request.param
    with Waiting(workdir) if name == "starting" else Web(workdir) as web:
        if name == "degraded":
            web.saturate()
        elif name == "draining":
            web.helper.cli("drain", "web")
        elif name == "maintenance":
            web.helper.cli("maint", "on", "web")
        elif name == "down":
            web.fpm.kill()
        web.helper.wait_state(name)
        yield name, web


def cell(row, state):
    (found,) = [cells for first, cells in TABLE.items() if f"`{row}`" in first or row == first]
    return found[STATES.index(state)].replace("`", "")


def test_the_columns_are_the_states():
    assert tuple(TABLE[""]) == STATES


def test_each_cell_is_what_the_prober_gets(state):
    name, web = state
    for path in ("/ready/web", "/health/web", "/consul/web", "/haproxy/web"):
        status, headers, _ = web.helper.get(path)
        envoy = [header for header in headers if header.startswith("x-envoy")]
        assert ", ".join([str(status), *envoy]) == cell(path, name), path
    for request in (b"GET /f5/web\r\n", wire.get("/f5/web")):
        body = wire.exchange(f"127.0.0.1:{web.http}", request).decode().rpartition("\r\n")[2]
        assert body.strip() == cell("/f5/web", name)
    agent = wire.exchange(f"127.0.0.1:{web.agent}", b"web\n").decode()
    assert re.fullmatch(cell("agent-check", name).replace("REASON", ".+") + "\n", agent), agent
    live, plugin = web.helper.get("/live")[0], web.helper.cli("check", "--live").returncode
    assert f"{live}, exit {plugin}" == cell("/live", name).removesuffix(" if all pools are")
    assert f"exit {web.helper.cli('check', 'web').returncode}" == cell("check web", name).partition(" (")[0]


def test_the_paths_for_all_pools_say_503_only_when_none_serves(state):
    name, web = state
    for path in ("/ready", "/health", "/"):
        assert web.helper.get(path)[0] == (200 if name in ("healthy", "degraded") else 503)


def test_f5_tokens_are_in_no_head_of_another_state(state):
    name, web = state
    answer = wire.exchange(f"127.0.0.1:{web.http}", wire.get("/f5/web")).decode()
    tokens = {cell("/f5/web", other) for other in STATES}
    assert {token for token in tokens if token in answer} == {cell("/f5/web", name)}


def test_metrics_are_200_in_every_state(state):
    name, web = state
    status, _, body = web.helper.get("/metrics")
    assert status == 200
    assert f'svcreg_state{{pool="web",state="{name}"}} 1' in body
