"""The daemon's tests use the fixtures that all tests with real servers share, and start the daemon as a person does."""

import os
import re
import subprocess

import pytest
from support.fixtures import closed_consul, consul, module_directory, own_consul, workdir  # noqa: F401
from support.helper import BIN, assert_sane, end


@pytest.fixture
def service(request):
    """A name in the catalog that no other test uses."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name).strip("-")[-50:]


@pytest.fixture
def serve():
    """Starts `fpm-health serve ARGUMENT…` with an environment of nothing but what is named."""
    started = []

    def serve(*arguments, **environment):
        process = subprocess.Popen(
            [BIN, "serve", *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={"PATH": os.environ["PATH"], **environment},
        )
        started.append(process)
        return process

    yield serve
    for process in started:
        end(process)
        assert_sane(process.communicate()[1] if not process.stderr.closed else "")
