"""What the kernel says of a process, and its end."""

import contextlib
import os
import select
import signal
from pathlib import Path

ENDS_S = 10


def state(pid):
    """One letter, as in proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_stopped(pid):
    """By SIGSTOP, or a tracer."""
    return state(pid) in "Tt"


def forks_no_more(pid):
    """Stopped, or ended. SIGSTOP takes effect after it was sent: a fork that is under way goes on."""
    try:
        return state(pid) in "TtZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill(*pids):
    """SIGKILL for those that are still there, and waits until they have ended and given back their ports."""
    ending = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            ending.append(os.pidfd_open(pid))
    for fd in ending:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, signal.SIGKILL)
    for fd in ending:
        ended = select.select([fd], [], [], ENDS_S)[0]
        os.close(fd)
        assert ended, "killed, and not ended"
