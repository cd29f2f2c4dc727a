"""What the kernel says of a process."""

from pathlib import Path


def is_stopped(pid):
    """By SIGSTOP, or a tracer."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt"
