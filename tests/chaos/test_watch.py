"""Who the laboratory asks about what Consul holds."""

import json
import time

import pytest
from support.fake_consul import FakeConsul
from support.waiting import until
from watch import ConsulWatch

FIRST, SECOND = "127.0.0.2", "127.0.0.3"


def server(address, state, leader, port=0):
    """One that says who leads, and that node `n` of the service is in `state`."""

    def answer(_, path):
        time.sleep(0.02)
        service = [{"Service": {"ID": "svcreg:n:1:web"}, "Checks": [{"Status": state}]}]
        return 200, json.dumps(f"{leader}:8300" if "leader" in path else service).encode()

    return FakeConsul(answer, port, address, [("X-Consul-Index", "1")])


@pytest.mark.parametrize("leader, state", [
    (SECOND, "passing"),
    (FIRST, "warning"),
    ("127.0.0.4", "warning"),  # is not among those that run
    ("", "warning"),
])  # fmt: skip
def test_the_leader_is_asked_and_where_there_is_none_whoever_answers(monkeypatch, leader, state):
    with server(FIRST, "warning", leader) as first:
        port = first.server.server_address[1]
        with server(SECOND, "passing", leader, port):
            monkeypatch.setattr(ConsulWatch, "PORT", port)
            watch = ConsulWatch(lambda: [FIRST, SECOND])
            try:
                until(lambda: watch.timeline[-1][1] == {"n": state}, 5, "the leader's word")
            finally:
                watch.stop()
