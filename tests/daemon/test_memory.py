"""What the daemon keeps in memory for itself, once start-up is over."""

import pytest
from support.fpm import Fpm
from support.helper import Helper
from support.memory import memory_kb
from support.waiting import until

pytestmark = pytest.mark.figures

POOLS = 10
USS_MAX_KB = 4096
RSS_MAX_KB = 6144  # with what others share, however many they are: libc, and libcurl's TLS where another helper runs
STARTUP_S = 3


def fits(helper):
    uss, _, rss, _ = memory_kb(helper.process.pid)
    return uss <= USS_MAX_KB and rss <= RSS_MAX_KB


@pytest.mark.parametrize("registers", [False, True], ids=["consul_off", "consul_on"])
def test_ten_pools_take_four_megabytes_at_most(workdir, consul, registers, record_property):
    names = [f"m{int(registers)}-{i}" for i in range(POOLS)]
    with Fpm(workdir, {name: {"pm.max_children": 1} for name in names}) as fpm:
        pools = [{"name": name, "listen": fpm.listen(name), "max_children": 1} for name in names]
        with Helper(workdir, pools, node="memory", consul={"url": consul.url if registers else "off"}) as helper:
            for name in names:
                helper.wait_state("healthy", name)
            if registers:
                until(lambda: all(pool["registered"] for pool in helper.status()["pools"]), what="registered")
            for path in ("/metrics", "/status", "/health", "/") * 100:
                helper.get(path)
            until(lambda: fits(helper), STARTUP_S + 2, f"it is {memory_kb(helper.process.pid)}")
            uss, _, rss, _ = memory_kb(helper.process.pid)
            record_property("uss_kb", uss)
            record_property("rss_kb", rss)
            assert all(pool["state"] == "healthy" for pool in helper.status()["pools"])
