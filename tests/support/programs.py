"""Programs of others that the tests run, where a script of ours fetches or builds them."""

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
