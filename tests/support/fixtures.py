"""Fixtures for tests with real servers: a directory that FPM's workers may enter, and Consul agents."""

import shutil
import tempfile
import uuid
from pathlib import Path

import pytest

from .consul import Consul


def open_directory():
    """A temporary directory with a short path (unix sockets) that any user may enter."""
    path = Path(tempfile.mkdtemp(prefix="svcreg-", dir="/tmp"))
    path.chmod(0o755)
    return path


@pytest.fixture
def workdir():
    path = open_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def module_directory():
    """The same for all tests of a file."""
    path = open_directory()
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def consul():
    """One agent for all tests that neither stop it nor mind other services in it."""
    path = open_directory()
    with Consul(path) as agent:
        yield agent
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def own_consul(workdir):
    """An agent that a test may stop, break and start again."""
    with Consul(workdir) as agent:
        yield agent


@pytest.fixture
def closed_consul(workdir):
    """An agent that allows nothing without a token."""
    root = str(uuid.uuid4())
    tokens = f'initial_management = "{root}", agent = "{root}"'
    acl = f'acl {{ enabled = true, default_policy = "deny", tokens {{ {tokens} }} }}'
    agent = Consul(workdir, "-hcl", acl)
    agent.token = root
    with agent:
        yield agent
