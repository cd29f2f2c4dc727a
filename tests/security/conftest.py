"""What the guards of docs/threat-model.md hold back: each test is the attack that one of them is there for."""

import os
import pwd

import pytest
from support.fixtures import workdir  # noqa: F401
from support.fpm import Fpm

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become others")


@pytest.fixture
def fpm(workdir):  # noqa: F811
    with Fpm(workdir) as started:
        yield started


@pytest.fixture
def as_user():
    """`as_user(NAME, FUNCTION)`: what FUNCTION, run as that user in a process of its own, returns or raises."""

    def run(name, function):
        entry = pwd.getpwnam(name)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
                result = repr(function())
            except OSError as error:
                result = f"errno {error.errno}"
            except BaseException as error:
                result = repr(error)
            os.write(writer, result.encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as answer:
            text = answer.read()
        os.waitpid(pid, 0)
        return text

    return run
