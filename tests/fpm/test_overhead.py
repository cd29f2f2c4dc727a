"""What svcreg costs a request, in instructions: they can be counted, whatever else the machine does."""

import os
import re
import shutil

import pytest
from support.waiting import until

FEW, MANY = 20, 120
BOUND = 100
# All that PHP does for a request; what FPM does while it waits for one is left out, since that depends on time.
REQUEST = ("php_request_startup", "php_execute_script", "php_request_shutdown")
# PHP clears a few bytes more for each function that it knows. Valgrind takes a `rep stosb` for as many instructions as
# it clears bytes, so let glibc clear without.
NO_REP = {"GLIBC_TUNABLES": "glibc.cpu.x86_rep_stosb_threshold=1000000000"}
# glibc compares a string that lies across the end of a page in a slower way. Where FPM's strings lie is chance, decided
# among others by the length of every path and setting: count with some lengths of a setting, and take the least.
NODE_NAMES = tuple("n" * length for length in (1, 20, 40, 100, 200))


def instructions_per_request(n):
    """From two workers that end after FEW and after MANY requests: what start and end cost falls out."""
    totals = {}
    for requests in (FEW, MANY):
        n.pools["web"]["pm.max_requests"] = requests
        with n:
            worker = n.request(n.script("pid.php", "<?php echo getmypid();"), timeout=60).body.decode()
            for _ in range(requests - 1):
                assert n.request(n.page, timeout=60).status == 200
            counts = n.directory / f"callgrind.{worker}"
            totals[requests] = until(lambda counts=counts: total(counts), 60, "the worker's counts")
    return (totals[MANY] - totals[FEW]) / (MANY - FEW)


def total(counts):
    """The instructions in a file that callgrind has finished, else None."""
    found = counts.exists() and re.search(r"^totals: (\d+)", counts.read_text(), re.M)
    return int(found[1]) if found else None


def counted(node, loaded):
    """The least count a request of some nodes that differ in the length of their name."""
    counts = [counted_once(node, loaded, name) for name in NODE_NAMES]
    print(f"{'with' if loaded else 'without'} svcreg: {', '.join(f'{count:.0f}' for count in counts)}")
    return min(counts)


def counted_once(node, loaded, name):
    """A node under callgrind without php.ini, whose other extensions would only make it slow; its count a request."""
    n = node(pools={"web": {"pm.max_children": 1}}, consul=None, environment=os.environ | NO_REP)
    n.directory.chmod(0o777)  # the worker writes its counts there
    n.page = n.script("empty.php", "<?php\n")
    n.ini = (n.ini if loaded else {}) | {"svcreg.node": name}
    binary, *arguments = n.command()
    callgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={n.directory}/callgrind.%p"]
    callgrind += [f"--toggle-collect={function}" for function in REQUEST]
    n.command = lambda: [*callgrind, binary, "-n", *arguments]
    return instructions_per_request(n)


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_a_request_costs_at_most_100_instructions_more(node, record_property):
    without, with_svcreg = counted(node, False), counted(node, True)
    record_property("instructions_per_request_more", with_svcreg - without)
    print(f"instructions an empty request: {without:.0f} without, {with_svcreg:.0f} with svcreg")
    assert 0 < with_svcreg - without <= BOUND


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
def test_a_thousand_pools_cost_the_start_at_most_60_million_instructions(node, record_property):
    """Which is 20 ms where a core does three in a nanosecond, as those of today do."""
    refused = {"pm": "ondemand", "user": "no-such-user"}  # by FPM, after MINIT: its own start is not of interest
    n = node(pools={f"p{i:04}": refused for i in range(1000)}, consul=None)
    binary, *arguments = n.command()
    counts = n.directory / "callgrind"
    callgrind = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={counts}.%p"]
    n.command = lambda: [*callgrind, "--toggle-collect=zm_startup_svcreg", binary, "-n", *arguments]
    n.start(wait=False)
    assert n.process.wait(120) == 78
    found = total(counts.with_suffix(f".{n.pid}"))
    print(f"MINIT with 1,000 pools: {found / 1e6:.1f} million instructions")
    record_property("minit_1000_pools_instructions", found)
    assert 1e6 < found <= 60e6
