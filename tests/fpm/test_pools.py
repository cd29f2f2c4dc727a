"""The extension finds FPM's pools as FPM does."""

import os
import re
import subprocess

import pytest
from support.fpm import BIN
from support.waiting import free_port


def pools(node):
    return {p["name"]: p for p in node.config_json()["pools"]}


@pytest.fixture
def quiet(node):
    """A node that talks to no Consul: only what the extension reads matters here."""
    return lambda **more: node(consul=None, **more)


@pytest.mark.parametrize("form", [["-y", "{}"], ["-y{}"], ["--fpm-config={}"], ["--fpm-config", "{}"], ["-Fy", "{}"]])
def test_every_way_to_name_the_configuration_is_understood(quiet, form, monkeypatch):
    node = quiet(pools={"named": {}})
    command = [BIN, "-F", *[f.format(node.config) for f in form]]
    command += [a for k, v in node.ini.items() for a in ("-d", f"{k}={v}")]
    monkeypatch.setattr(node, "command", lambda: command)
    with node:
        assert list(pools(node)) == ["named"]


def test_the_ini_setting_fpm_config_names_the_configuration(quiet, monkeypatch):
    node = quiet()
    command = [BIN, "-F", "-d", f"fpm.config={node.config}"]
    command += [a for k, v in node.ini.items() for a in ("-d", f"{k}={v}")]
    monkeypatch.setattr(node, "command", lambda: command)
    with node:
        assert list(pools(node)) == ["web"]


def test_a_prefix_holds_for_relative_includes_and_listens(quiet, monkeypatch):
    node = quiet()
    prefix = node.directory / "prefix"
    (prefix / "etc").mkdir(parents=True)
    (prefix / "pools").mkdir()
    section = "user = www-data\ngroup = www-data\npm = static\npm.max_children = 1\n"
    (prefix / "etc/php-fpm.conf").write_text(f"[global]\nerror_log = {node.log}\ninclude = pools/*.conf\n")
    (prefix / "pools/a.conf").write_text(f"[a]\nlisten = a.sock\n{section}")
    (prefix / "pools/b.conf").write_text(f"[b]\nprefix = {node.directory}\nlisten = $pool.sock\n{section}")
    command = [BIN, "-F", "-p", str(prefix), "-y", str(prefix / "etc/php-fpm.conf")]
    command += [a for k, v in node.ini.items() for a in ("-d", f"{k}={v}")]
    monkeypatch.setattr(node, "command", lambda: command)
    with node:
        listens = {name: p["listen"] for name, p in pools(node).items()}
    assert listens == {"a": f"{prefix}/a.sock", "b": f"{node.directory}/b.sock"}


@pytest.mark.parametrize("depth", [4, 5])
def test_includes_in_includes_are_followed_as_deep_as_fpm_does(quiet, depth):
    node = quiet()
    node.write_config()
    for number in range(depth):
        inner = node.directory / f"{number}.conf"
        outer = node.config if number == 0 else node.directory / f"{number - 1}.conf"
        with outer.open("a") as file:
            file.write(f"include = {inner}\n")
        own = f"listen = {node.directory}/p{number}.sock\nuser = www-data\npm = static\npm.max_children = 1\n"
        inner.write_text(f"[p{number}]\n{own}")
    test = subprocess.run([*node.command(), "-t"], capture_output=True, text=True, timeout=10)
    node.write_config = lambda: None
    if test.returncode == 0:
        with node:
            assert sorted(pools(node)) == sorted(["web", *(f"p{number}" for number in range(depth))])
    else:
        start = subprocess.run(node.command(), capture_output=True, text=True, timeout=10)
        assert start.returncode != 0 and "svcreg: does nothing: files included too deep" in start.stderr
    assert (test.returncode == 0) == (depth <= 4), test.stderr


def test_listen_addresses_of_every_form_are_brought_into_one(quiet):
    port, any_port, v4, v6 = (free_port() for _ in range(4))
    forms = {"port": port, "star": f"*:{any_port}", "v4": f"127.0.0.1:{v4}", "v6": f"[::1]:{v6}"}
    with quiet(pools={name: {"listen": listen} for name, listen in forms.items()} | {"unix": {}}) as node:
        listens = {name: p["listen"] for name, p in pools(node).items()}
        expected = {"port": f"*:{port}", "star": f"*:{any_port}", "v4": f"127.0.0.1:{v4}", "v6": f"[::1]:{v6}"}
        assert listens == expected | {"unix": f"{node.directory}/unix.sock"}
        # a worker knows its pool by its socket, whatever form it has; what FPM makes of "*" is up to the resolver
        for name in ("port", "v4", "v6", "unix"):
            node.pools[name]["listen"] = listens[name].replace("*", "127.0.0.1")
            assert node.request(node.page, pool=name).body.split()[1] == name.encode()


def test_values_expand_as_fpm_expands_them(quiet, monkeypatch):
    monkeypatch.setenv("POOL_CHILDREN", "3")
    own = {
        "pm.max_children": "${POOL_CHILDREN}",
        "php_admin_value[svcreg.tags]": "$pool,b c",
        "php_admin_value[svcreg.meta]": '"k=v,url=a=b"',
        "php_admin_flag[svcreg.enabled]": "no",
    }
    with quiet(pools={"web": own}) as node:
        pool = pools(node)["web"]
    assert (pool["max_children"], pool["tags"], pool["enabled"]) == (3, ["web", "b c"], False)
    assert pool["meta"] == {"k": "v", "url": "a=b"}


def test_the_hidden_status_pool_is_no_pool(quiet, workdir):
    with quiet(pools={"web": {"pm.status_listen": workdir / "status.sock", "pm.status_path": "/s"}}) as node:
        assert list(pools(node)) == ["web"]


def test_what_guards_a_pools_socket_is_told(quiet):
    guards = {"listen.group": "www-data", "listen.allowed_clients": "127.0.0.1,::1"}
    with quiet(pools={"web": guards, "open": {}}) as node:
        told = {name: (pool["listen_group"], pool["allowed_clients"]) for name, pool in pools(node).items()}
    assert told == {"web": ("www-data", "127.0.0.1,::1"), "open": ("", "")}


def test_registrators_environment_is_honoured(quiet, monkeypatch):
    port, other = free_port(), free_port()
    environment = os.environ | {
        "SERVICE_NAME": "shop", "SERVICE_TAGS": "blue, eu", "SERVICE_REGION": "west",
        f"SERVICE_{port}_NAME": "front", f"SERVICE_{port}_REGION": "east", f"SERVICE_{other}_IGNORE": "1",
        "SERVICE_CHECK_HTTP": "/",
    }  # fmt: skip
    plain = {"php_admin_value[svcreg.service]": '""'}
    listens = {"a": f"127.0.0.1:{port}", "b": f"127.0.0.1:{other}"}
    definition = {name: {"listen": listen} for name, listen in listens.items()} | {"c": {}, "d": {}}
    node = quiet(pools=definition, environment=environment)
    for own in node.pools.values():
        own.pop("php_admin_value[svcreg.service]", plain)
    with node:
        found = pools(node)
    assert [found[name]["service"] for name in "acd"] == ["front", "shop-c", "shop-d"]
    assert [found[name]["enabled"] for name in "abcd"] == [True, False, True, True]
    assert found["c"]["tags"] == ["blue", "eu"]
    assert found["a"]["meta"] == {"region": "east"} and found["c"]["meta"] == {"region": "west"}


def test_a_pools_bad_value_is_warned_about_by_name(quiet):
    own = {
        "php_admin_value[svcreg.weight]": "heavy", "php_admin_value[svcreg.ready]": "soon",
        "php_admin_value[svcreg.ttl]": "3s",
    }  # fmt: skip
    with quiet(pools={"web": own}) as node:
        assert len(node.lines('pool web: svcreg.weight: "heavy" is not')) == 1
        assert len(node.lines('pool web: svcreg.ready: "soon" is not')) == 1
        assert len(node.lines("pool web: svcreg.ttl can't be set for one pool")) == 1
        assert pools(node)["web"]["weight"] == 0 and pools(node)["web"]["ready"] == "auto"


def test_what_fpm_refuses_is_left_to_fpm(quiet):
    node = quiet()
    node.write_config()
    node.config.write_text(node.config.read_text() + "no_such_key = 1\n")
    ended = subprocess.run(node.command(), capture_output=True, text=True, timeout=10)
    assert ended.returncode == 78 and "unknown entry 'no_such_key'" in node.log_text() + ended.stderr
    assert not node.helper_pids() or node.helper_pid() is None


def test_the_instance_is_named_after_the_configuration(quiet):
    node = quiet()
    node.ini["svcreg.instance"] = ""
    with node:
        (only,) = node.run_dir.iterdir()
        assert only.name == re.sub(r"[^A-Za-z0-9._]+", "-", str(node.config).lstrip("/"))


@pytest.mark.parametrize(
    "value, url", [("off", "off"), ('"off"', "off"), ("auto", "http://agent:8500"), (None, "http://agent:8500")]
)
def test_consul_off_is_off_however_it_is_written(node, value, url):
    n = node(environment=os.environ | {"CONSUL_HTTP_ADDR": "agent:8500"})
    n.ini["svcreg.consul"] = value
    if value is None:
        del n.ini["svcreg.consul"]
    with n:
        assert n.config_json()["consul"]["url"] == url
