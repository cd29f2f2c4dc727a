"""The stacks under test: the product's own variants, and the negative controls, which must fail the gate."""

from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SINGLE = ("compose/docker-compose.yml", "tests/chaos/lab.yml")
CLUSTER = ("compose/docker-compose.yml", "compose/cluster.yml", "tests/chaos/lab.yml")


@dataclass(frozen=True)
class Stack:
    name: str
    about: str
    files: tuple
    environment: dict = field(default_factory=dict)
    balancer: str = "nginx"  # the service that gets the load
    watch: str = "nginx"  # how to see whom it serves
    servers: tuple = ("consul",)
    registrar: bool = False  # the laboratory's own stand-in for Registrator keeps the nodes in Consul

    @property
    def agents(self):
        """Whether each web node has an agent of its own."""
        return len(self.servers) > 1


THREE = ("consul", "consul-2", "consul-3")
FAKETIME = next(map(str, Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), "")

STACKS = {
    stack.name: stack
    for stack in (
        Stack("cluster", "three Consul servers, an agent beside each node, nginx", CLUSTER, servers=THREE),
        Stack(
            "haproxy",
            "three Consul servers, an agent beside each node, HAProxy",
            (CLUSTER[0], "compose/haproxy.yml", *CLUSTER[1:], "tests/chaos/haproxy.yml"),
            balancer="haproxy",
            watch="haproxy",
            servers=THREE,
        ),
        Stack(
            "clock",
            "the same with nginx, and a wall clock of its own for each node",
            (*CLUSTER, "tests/chaos/clock.yml"),
            {"CHAOS_FAKETIME": FAKETIME},
            servers=THREE,
        ),
        Stack("single", "one Consul server for all, nginx", SINGLE),
        Stack(
            "classic",
            "a stand-in for Registrator, nginx with its defaults that consul-template reloads, FPM with its defaults",
            (*SINGLE, "tests/chaos/classic.yml"),
            registrar=True,
            watch="classic",
        ),
        Stack("no-drain", "ours, its drain switched off", (*CLUSTER, "tests/chaos/no-drain.yml"), servers=THREE),
        Stack(
            "default-gossip",
            "ours, with Consul's own settings for gossip",
            (*CLUSTER, "tests/chaos/default-gossip.yml"),
            servers=THREE,
        ),
        Stack(
            "slow-check",
            "ours, with a check that takes 16 s, as F5's default of 5 s and 16 s does",
            (*SINGLE, "tests/chaos/slow-check.yml"),
        ),
    )
}
