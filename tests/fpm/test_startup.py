"""FPM starts as quickly with svcreg as without, wherever Consul is."""

import contextlib
import socket
import statistics

import pytest
from support import fcgi
from support.clock import Stopwatch
from support.cpu import cpu_s
from support.waiting import FULL, free_port, until

STARTS, STARTS_MAX = 7, 28
# What the reading of FPM's configuration, the board and the start of the helper may cost. A machine that does other
# things too (a helper with 1,000 pools is one) makes it seem more: then no wait and no quadratic reading must do.
MORE_MS = 20 if FULL else 100


@contextlib.contextmanager
def black_hole():
    """The URL of a port that drops whatever comes: nobody accepts there, and the queue is full."""
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}"


def start_ms(n):
    """
    From the start of FPM's process until its last pool accepts, less the time that it waited for a processor; and the
    processor time in it.
    """

    def accepts():
        with contextlib.suppress(OSError):
            fcgi.connect(n.listen(list(n.pools)[-1])).close()
            return True
        return False

    watch = Stopwatch()
    n.start(wait=False)
    try:
        until(accepts, 20, "the last pool accepts", every=0.0005)
        return watch.seconds(n.pid) * 1000, cpu_s(n.pid) * 1000
    finally:
        n.kill()
        until(lambda: not accepts(), 20, "a worker that was killed has closed the socket")


@pytest.mark.figures
@pytest.mark.parametrize("count", [1, 1000])
def test_no_start_is_slower_with_svcreg_wherever_consul_is(node, own_consul, record_property, count):
    port = free_port()  # on an address each: files in a thousand would cost more than all the rest
    pools = {f"p{i:04}": {"pm": "ondemand", "listen": f"127.1.{i >> 8}.{i & 255}:{port}"} for i in range(count)}
    with black_hole() as dropping:
        urls = {"reachable": own_consul.url, "refusing": "http://127.0.0.1:1", "black-holed": dropping, "off": "off"}
        nodes = {"without svcreg": node(pools=pools, top={"rlimit_files": 4096})}
        del nodes["without svcreg"].ini["extension"]
        for name, url in urls.items():
            nodes[name] = node(pools=pools, top={"rlimit_files": 4096}, ini={"svcreg.consul": url})
        took = {name: [] for name in nodes}

        def more_ms():
            """What the quickest start has taken more than the quickest without: all else can only add to each."""
            least = {name: min(times)[0] for name, times in took.items()}
            return {name: least[name] - least["without svcreg"] for name in urls}

        for number in range(STARTS_MAX):
            if number >= STARTS and max(more_ms().values()) <= MORE_MS:
                break
            for name, n in nodes.items():
                took[name].append(start_ms(n))
    took_ms = {name: sorted(ms for ms, _ in times) for name, times in took.items()}
    title = f"{count} pools, {len(took['off'])} starts each, in turn"
    print(f"\n{title:40}{'min':>8}{'median':>8}{'max':>8}  ms, {'CPU':>6}")
    for name, ms in took_ms.items():
        shown = f"{ms[0]:8.1f}{statistics.median(ms):8.1f}{ms[-1]:8.1f}      {min(ran for _, ran in took[name]):6.1f}"
        print(f"{name:40}{shown}")
        record_property(f"start_{count}_pools_{name}", " ".join(shown.split()))
    for name, ms in more_ms().items():
        assert ms <= MORE_MS, name
