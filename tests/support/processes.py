"""What the kernel says of a process."""

from pathlib import Path


def is_stopped(pid):
    """By SIGSTOP, or a tracer."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"


def forks_no_more(pid):
    """Stopped, or ended. SIGSTOP takes effect after it was sent: a fork that is under way goes on."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
