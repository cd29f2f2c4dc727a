"""What a process has of memory."""

import re
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """
    In kB. USS: what would be free without the process, files included that nobody else has mapped in at the time; PSS:
    with its share of what it has mapped in; anonymous: without files, whoever else runs.
    """

    uss: int
    pss: int
    rss: int
    anonymous: int


def memory_kb(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return Memory(private, fields["Pss"], fields["Rss"], fields["Anonymous"])
