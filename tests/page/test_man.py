"""The man pages are of the sources that they name, render without a warning, and leave out no option and no setting."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HELPER = os.environ.get("SVCREG_HELPER", ROOT / "build/tree/fpm-health/fpm-health")
PAGES = {"fpm-health.8": 8, "svcreg.5": 5}
INTERNAL = {"board"}  # between the extension and its helper


def rendered(name):
    """The page as it is read, and what man and groff have to say against it."""
    environment = {**os.environ, "MANWIDTH": "1000", "LC_ALL": "C.UTF-8"}
    command = ["man", "--warnings", "--local-file", ROOT / "docs/man" / name]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return re.sub(r".\x08", "", done.stdout), done.stderr


def source(path):
    return (ROOT / path).read_text()


def commands():
    return re.findall(r'^    \{"([a-z-]+)", cli_', source("fpm-health/main.c"), re.M)


def options():
    tables = source("fpm-health/cli_request.c") + source("fpm-health/cli_serve.c")
    return set(re.findall(r'\{"([a-z-]+)", (?:required|no)_argument', tables)) - INTERNAL


def usage():
    return subprocess.run([HELPER, "--help"], check=True, capture_output=True, text=True).stdout


def test_pages_are_of_their_sources():
    done = subprocess.run([ROOT / "script/man", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", PAGES)
def test_man_renders_the_page_without_a_warning_and_whatis_can_read_it(name):
    text, warnings = rendered(name)
    assert not warnings
    title, section = name.split(".")
    assert f"{title}({section})" in text.splitlines()[0]
    assert re.search(rf"^NAME\n +{title} - \w", text, re.M)


def test_each_setting_is_in_the_page():
    names = re.findall(r'(?:SETTING|CHOICE|BOOLEAN)\("(?:svcreg\.)?(\w+)"', source("ext/settings.c"))
    text, _ = rendered("svcreg.5")
    assert names and not [name for name in names if not re.search(rf"^ +svcreg\.{name}\b", text, re.M)]


def test_each_key_of_config_json_is_in_the_page():
    keys = re.findall(r'^    \{"([a-z_]+)",', source("fpm-health/config_fields.c"), re.M)
    text, _ = rendered("svcreg.5")
    assert keys and not [key for key in keys if not re.search(rf"\b{key}\b", text)]


def test_each_command_and_option_is_in_the_page_in_the_help_and_in_the_completion():
    page, completion = rendered("fpm-health.8")[0], source("docs/bash-completion/fpm-health")
    assert len(commands()) >= 9 and len(options()) >= 15
    for where, text in {"page": page, "help": usage(), "completion": completion}.items():
        assert not [c for c in commands() if not re.search(rf"\b{c}\b", text)], where
        assert not [o for o in options() if not re.search(rf"(?<!\w)--{o}\b", text)], where


def test_the_help_names_nothing_that_is_not_there():
    known = {*options(), "version", "help"}
    assert set(re.findall(r"--([a-z-]+)", usage())) <= known
    assert set(re.findall(r"--([a-z-]+)", rendered("fpm-health.8")[0])) <= known


def test_make_install_puts_pages_and_completion_where_they_are_looked_for(tmp_path):
    command = ["make", "-C", ROOT / "fpm-health", "-n", "install", f"DESTDIR={tmp_path}", "PREFIX=/usr"]
    plan = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for path in ("man/man8/fpm-health.8", "man/man5/svcreg.5", "bash-completion/completions/fpm-health"):
        assert f"{tmp_path}/usr/share/{path}" in plan
