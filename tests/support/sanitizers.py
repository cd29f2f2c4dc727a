"""A run with everything of ours built with sanitizers: what they say fails the test in which they say it."""

import os
from pathlib import Path

REPORTS = os.environ.get("SVCREG_SANITIZER_REPORTS")  # the address sanitizer's folder; None: an ordinary run


def assert_content(nodes):
    """Called when nothing of the nodes runs any more. The other sanitizer knows no folder, and writes to stderr."""
    if not REPORTS:
        return
    found = [line for n in nodes for line in n.lines("runtime error:")]
    for path in Path(REPORTS).iterdir():
        found.append(path.read_text(errors="replace"))
        path.unlink()
    assert not found, "\n".join(found)
