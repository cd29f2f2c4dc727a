"""
docs/threat-model.md names a test or a fuzz target for each guard: they exist, this folder's are all named, and for each
there is a recipe that takes its guard out (script/unguarded, script/fuzz --planted).
"""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/threat-model.md").read_text()
RECIPES = sorted((ROOT / "tests/unguarded").iterdir())


def defined():
    """Every test there is, by name: pytest's and those of the unit tests."""
    found = set()
    for path in ROOT.glob("tests/*/test_*.py"):
        found |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    for path in ROOT.glob("tests/unit/test_*.c"):
        found |= set(re.findall(r"^static void (\w+)\(void \*\*state\)", path.read_text(), re.M))
    return found


def tables():
    """The rows of all tables, without their heads."""
    rows = [line.strip("|").split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0].strip() != "attempt"]


def test_each_guard_has_a_test_that_exists():
    assert len(tables()) > 25
    known = defined()
    for attempt, _, tests in tables():
        names = re.findall(r"`(\w+)`", tests)
        assert names, attempt
        for name in names:
            target = (ROOT / f"tests/fuzz/fuzz_{name}.c").exists()
            assert name in known or ("fuzz target" in tests and target), f"{attempt.strip()}: {name}"


def test_what_is_named_in_the_text_exists():
    assert set(re.findall(r"`(test_[a-z0-9_]+)`", PAGE)) <= defined()


def test_each_fuzz_target_is_named():
    targets = {path.stem.removeprefix("fuzz_") for path in ROOT.glob("tests/fuzz/fuzz_*.c")}
    assert targets <= set(re.findall(r"`(\w+)`", PAGE))


def test_each_attack_of_this_folder_is_named():
    attacks = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        if path.name != Path(__file__).name:
            attacks |= set(re.findall(r"^def (test_\w+)", path.read_text(), re.M))
    assert attacks <= set(re.findall(r"`(\w+)`", PAGE))


def header(recipe):
    """Files, what they believe or allow then, tests."""
    files, what, tests = (line.removeprefix("# ") for line in recipe.read_text().splitlines()[:3])
    return files.split(), what, tests.split()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_guard_that_is_to_be_taken_out_is_there(recipe):
    files, what, tests = header(recipe)
    assert what.endswith(".")
    for file in files:
        without = subprocess.run(["sed", "-f", recipe, ROOT / file], capture_output=True, text=True, check=True).stdout
        assert without != (ROOT / file).read_text(), f"{recipe.name} changes nothing in {file}"
    assert tests and set(tests) <= defined()


def test_the_guard_of_each_attack_can_be_taken_out():
    missed = {test for recipe in RECIPES for test in header(recipe)[2]}
    for attempt, _, tests in tables():
        for name in re.findall(r"`(\w+)`", tests):
            planted = (ROOT / "tests/fuzz/planted" / name).exists()
            assert name in missed or ("fuzz target" in tests and planted), f"{attempt.strip()}: {name}"
