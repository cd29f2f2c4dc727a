"""Fixtures of the extension's tests: a real PHP-FPM with svcreg.so, a real Consul."""

import itertools

import pytest
from support import sanitizers
from support.fixtures import consul, own_consul, workdir  # noqa: F401
from support.node import Node

numbers = itertools.count(1)


@pytest.fixture
def node(workdir, consul):  # noqa: F811
    """
    Makes nodes: `with node(pools={…}, ini={…}) as n:`. Each has a name of its own, registers with the session's Consul,
    and has ended, with everything it started, when the test has.
    """
    made = []

    def make(consul=consul, **more):
        number = next(numbers)
        directory = workdir / f"n{number}"
        directory.mkdir()
        directory.chmod(0o755)
        made.append(Node(directory, f"n{number}", consul, **more))
        return made[-1]

    yield make
    for n in made:
        n.kill()
    sanitizers.assert_content(made)
