"""What is built can be neither overwritten nor redirected as easily as it could be."""

import platform
import re
import subprocess

import pytest
from support.helper import BIN
from support.node import SO

BINARIES = {"fpm-health": BIN, "svcreg.so": SO}


def readelf(*arguments):
    return subprocess.run(["readelf", "-W", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=BINARIES)
def binary(request):
    return BINARIES[request.param]


def test_addresses_are_chosen_anew_at_each_start(binary):
    assert re.search(r"Type:\s+DYN", readelf("-h", binary))
    if binary == BIN:
        assert "PIE" in readelf("-d", binary)


def test_what_the_linker_resolved_is_read_only(binary):
    assert "GNU_RELRO" in readelf("-l", binary)
    assert re.search(r"BIND_NOW|Flags:.*\bNOW\b", readelf("-d", binary))


def test_no_memory_is_both_written_and_run(binary):
    segments = readelf("-l", binary)
    assert re.search(r"GNU_STACK.* RW ", segments)
    assert not re.search(r"LOAD.* RWE ", segments)
    assert "TEXTREL" not in readelf("-d", binary)


def test_overflows_are_noticed(binary):
    symbols = readelf("-s", binary)
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(?!stack)\w+_chk@", symbols)


def test_libraries_come_from_the_system_alone(binary):
    assert not re.search(r"R(UN)?PATH", readelf("-d", binary))


@pytest.mark.skipif(platform.machine() != "x86_64", reason="an instruction of x86-64")
def test_what_may_be_jumped_to_is_marked(binary):
    name = "main" if binary == BIN else "get_module"
    code = subprocess.run(["objdump", "-d", f"--disassemble={name}", binary], capture_output=True, text=True).stdout
    assert re.search(rf"<{name}>:\n.*endbr64", code)
