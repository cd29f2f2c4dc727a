"""What the kernel says of a process."""

from pathlib import Path


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
