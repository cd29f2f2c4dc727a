"""Programs that the tests run: others', where a script of ours fetches or builds them, and small ones of their own."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def program(name):
    """Path of `name`: what SVCREG_NAME_BINARY says, else what script/name-binary prints."""
    named = os.environ.get(f"SVCREG_{name.upper()}_BINARY")
    if named:
        return named
    script = ROOT / "script" / f"{name}-binary"
    return subprocess.run([script], check=True, capture_output=True, text=True).stdout.strip()


def compiled(directory, name, *libraries):
    """Path of the program that `name`.c beside this file makes."""
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run(["cc", "-O2", "-o", directory / name, source, *libraries], check=True)
    return directory / name
