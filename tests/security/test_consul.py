"""A Consul in the wrong hands."""

import json

from support.fake_consul import GOOD, FakeConsul
from support.helper import Helper

NOWHERE = [{"name": "web", "listen": "/nowhere/web.sock"}]


def test_what_it_lists_of_others_is_left_alone(workdir):
    ours, others = (
        "svcreg:n1:test:gone",
        ("database", "svcreg:n2:test:web", "svcreg:n1:test2:web", "svcreg:n1:testament"),
    )

    def answer(method, path):
        if path.startswith("/v1/agent/services"):
            return 200, json.dumps({name: {"ID": name} for name in (ours, *others)}).encode()
        return GOOD

    with FakeConsul(answer) as fake:
        with Helper(workdir, NOWHERE, consul={"url": fake.url}) as helper:
            helper.wait_log("left behind by an earlier run")
            helper.process.terminate()
            assert helper.wait() == 0
        deregistered = [path.rpartition("/")[2].replace("%3A", ":") for _, path, *_ in fake.asked("/deregister/")]
        assert sorted(deregistered) == ["svcreg:n1:test", ours, "svcreg:n1:test:web"]
