"""python3 digest.py FILE: of the failures in pytest's XML, what one needs first. A log may be cut; this is short."""

import sys
import xml.etree.ElementTree as ElementTree

FAILURES = 8
LINES, WIDTH = 12, 240


def tail(text, lines=LINES):
    return [line[:WIDTH] for line in (text or "").strip().splitlines()[-lines:]]


def reason(text):
    """-> the lines that pytest marks as the error, and where it is"""
    marked = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
    return [line[:WIDTH] for line in marked[:LINES]] + tail(text, 1)


def digest(file):
    failures = [
        (case, found)
        for case in ElementTree.parse(file).iter("testcase")
        for found in (*case.iter("failure"), *case.iter("error"))
    ]
    for case, found in failures[:FAILURES]:
        yield f"{case.get('classname')} {case.get('name')}"
        yield from reason(found.text or found.get("message") or "")
        for name in ("system-out", "system-err"):
            yield from tail(case.findtext(name))
        for known in case.iter("property"):
            if known.get("name") == "meanwhile":
                yield known.get("value")
    if len(failures) > FAILURES:
        yield f"… and {len(failures) - FAILURES} more"


if __name__ == "__main__":
    print("\n".join(digest(sys.argv[1])))
