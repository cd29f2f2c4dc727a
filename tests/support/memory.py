"""What a process has of memory."""

import re
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """In kB. USS: what would be free without the process; PSS: with its share of what it has mapped in."""

    uss: int
    pss: int
    rss: int


def memory_kb(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    fields = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+) kB", text, re.M)}
    return Memory(fields["Private_Clean"] + fields["Private_Dirty"], fields["Pss"], fields["Rss"])
