"""A helper that is taken over, or merely stuck, and would keep FPM from stopping."""

import os
import signal
import time

from support.node import Node


def test_a_helper_that_never_ends_a_drain_holds_the_stop_up_for_its_timeout_only(workdir):
    with Node(workdir, "n1", None, ini={"svcreg.drain_timeout": "1s"}) as node:
        node.wait_state("healthy")
        os.kill(node.helper_pid(), signal.SIGSTOP)
        begin = time.monotonic()
        assert node.stop(timeout=15) == 0
        assert 0.9 < time.monotonic() - begin < 6  # the drain's second, and two for a goodbye that does not come
