"""The ACL policy in the README is enough, and each of its lines is needed."""

import json
import re
import subprocess
from pathlib import Path

from support.fpm import Fpm
from support.helper import BIN, Helper

ROOT = Path(__file__).resolve().parents[2]
POLICY = re.search(r"^```hcl\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)[1].splitlines()


def consul_at(consul, token):
    return {"url": consul.url, "token_file": str(token)}


def token_check(consul, workdir, rules):
    """-> exit code of token-check, and what it printed"""
    (workdir / "token").write_text(consul.token_for(rules))
    pools = [{"name": "web", "listen": str(workdir / "web.sock")}]
    config = {"consul": consul_at(consul, workdir / "token"), "pools": pools}
    (workdir / "config.json").write_text(json.dumps(config))
    argv = [BIN, "token-check", "--config", workdir / "config.json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout


def test_the_readmes_policy_is_enough_and_each_line_needed(closed_consul, workdir):
    code, said = token_check(closed_consul, workdir, POLICY)
    assert code == 0, said
    for line in POLICY:
        code, said = token_check(closed_consul, workdir, [other for other in POLICY if other != line])
        assert code == 1, f"without {line}: {said}"
        assert said.count("REFUSED") == 1, said


def test_a_pool_is_registered_with_the_readmes_policy(closed_consul, workdir):
    token = workdir / "token"
    token.write_text(closed_consul.token_for(POLICY))
    with (
        Fpm(workdir, {"web": {}}) as fpm,
        Helper(workdir, [{"name": "web", "listen": fpm.listen()}], consul=consul_at(closed_consul, token)),
    ):
        closed_consul.wait_status("web", "passing")
