"""The ACL token with real ACLs: its file is read again when it changes, and what a token may not do is said."""

import json
import subprocess

import pytest
from support.consul import our_check
from support.fpm import Fpm
from support.helper import BIN, Helper
from support.waiting import until

RULES = ['service_prefix "" { policy = "write" }', 'agent_prefix "" { policy = "read" }']
BACK_S = 2.0


@pytest.fixture
def fpm(workdir):
    with Fpm(workdir) as fpm:
        yield fpm


@pytest.fixture
def token_file(workdir):
    return workdir / "token"


@pytest.fixture
def helper(workdir, fpm, closed_consul, token_file):
    pools = [{"name": "web", "listen": fpm.listen()}]
    consul = {"url": closed_consul.url, "token_file": str(token_file)}
    return Helper(workdir, pools, consul=consul, log_level="debug")


def revoke(consul, secret):
    accessor = next(t["AccessorID"] for t in consul.get("/v1/acl/tokens") if t["SecretID"] == secret)
    consul.request("DELETE", f"/v1/acl/token/{accessor}")


@pytest.mark.parametrize("way", ["written_over", "by_rename"])
def test_a_token_that_was_replaced_is_used_from_then_on(closed_consul, token_file, helper, way):
    old, new = closed_consul.token_for(RULES), closed_consul.token_for(RULES)
    token_file.write_text(old)
    with helper:
        closed_consul.wait_status("web", "passing")
        revoke(closed_consul, old)
        helper.wait_log("PHP is served on")
        if way == "written_over":
            token_file.write_text(new + "\n")
        else:
            fresh = token_file.with_suffix(".new")
            fresh.write_text(new)
            fresh.rename(token_file)
        until(lambda: helper.status()["consul"]["state"] == "ok", BACK_S, "connected")
        helper.cli("drain")  # an agent tells the catalog of a check by the token that registered it
        closed_consul.wait_status("web", "critical", timeout=BACK_S)
        helper.cli("undrain")
        closed_consul.wait_status("web", "passing", timeout=BACK_S)
        assert helper.log_text().count("PHP is served on") == 1
        assert "403" in helper.log_text() or "ACL not found" in helper.log_text()
        for secret in (old, new):
            assert secret not in helper.log_text() + helper.output.read_text()


def test_a_token_file_that_is_empty_or_gone_for_a_moment_changes_nothing(closed_consul, token_file, helper):
    token_file.write_text(closed_consul.token_for(RULES))
    with helper:
        closed_consul.wait_status("web", "passing")
        for spoil in (lambda: token_file.write_text(""), token_file.unlink):
            spoil()
            helper.cli("drain")
            until(lambda: our_check(closed_consul.health("web")[0])["Output"].startswith("draining"), 2, "told")
            helper.cli("undrain")
            closed_consul.wait_status("web", "passing", timeout=2)
        assert "PHP is served on" not in helper.log_text()


def test_a_token_that_may_not_register_is_named_and_one_that_may_is_enough_later(closed_consul, token_file, helper):
    token_file.write_text(closed_consul.token_for([RULES[1]]))
    with helper:
        helper.wait_log("answers 403")
        check = [BIN, "token-check", "--config", helper.config_path]
        done = subprocess.run(check, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout.count("REFUSED")) == (1, 2), done.stdout
        assert json.loads(helper.get("/status")[2])["consul"]["state"] == "failing"
        token_file.write_text(closed_consul.token_for(RULES))
        closed_consul.wait_status("web", "passing", timeout=BACK_S)
        assert subprocess.run(check, capture_output=True, timeout=30).returncode == 0
