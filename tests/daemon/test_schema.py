"""docs/config.schema.json says what the daemon says: both judge the same files, key by key and as a whole."""

import copy
import json
import re
import subprocess
from pathlib import Path

import jsonschema
import pytest
from support.helper import BIN

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "docs" / "config.schema.json").read_text())
GOOD = {
    "$schema": "config.schema.json", "node": "web-1", "instance": "sidecar", "run_dir": "/run/svcreg/x", "user": "",
    "log": "stderr", "log_level": "debug", "health_listen": ["127.0.0.1:9180", "unix:/h.sock"], "agent_listen": [],
    "drain": {"quiet_ms": 0, "probers_ms": 1, "timeout_ms": 3600000}, "hang_timeout_ms": 100, "probe_interval_ms": 100,
    "consul": {"url": "off", "token_file": "/t", "ca_cert": "", "client_cert": "", "client_key": "", "verify": False,
               "namespace": "", "partition": "", "ttl_ms": 1500, "heartbeat_ms": 500, "deregister_after_ms": 0},
    "php": "8.2", "generation": 0, "master": {"pid": 1, "start_time": 2},
    "helper": {"path": "/f", "dev": -1, "ino": 1, "mtime": 1},
    "pools": [
        {"name": "web", "listen": "127.0.0.1:9000", "pm": "static", "max_children": 5, "enabled": True,
         "service": "shop", "tags": ["a"], "meta": {"k": "v"}, "address": "", "weight": 0, "ready": "manual",
         "warmup": "/w.php?x=1", "probe": "", "status_path": "/status", "status_listen": "127.0.0.1:9001",
         "listen_group": "www-data", "allowed_clients": "127.0.0.1,::1"},
        {"name": "b", "listen": "/b.sock", "meta": []},
    ],
}  # fmt: skip
REMOVED = object()
ENDLESS = "/" + "x" * 1024

# Where, and what is wrong there.
BAD = [
    (("pools",), REMOVED), (("pools",), {}), (("pools",), "web"), (("pools", 0), "web"), (("pools", 0), []),
    (("pools", 0, "name"), REMOVED), (("pools", 0, "name"), ""), (("pools", 0, "name"), "a/b"),
    (("pools", 0, "name"), 1),
    (("pools", 0, "listen"), REMOVED), (("pools", 0, "listen"), ""), (("pools", 0, "listen"), 9000),
    (("pools", 0, "pm"), "magic"), (("pools", 0, "ready"), ""), (("pools", 0, "ready"), "later"),
    (("pools", 0, "max_children"), -1), (("pools", 0, "max_children"), "5"), (("pools", 0, "max_children"), 1000001),
    (("pools", 0, "weight"), 65536), (("pools", 0, "weight"), 1.5), (("pools", 0, "enabled"), 1),
    (("pools", 0, "tags"), "a,b"), (("pools", 0, "tags"), [1]), (("pools", 0, "meta"), ["k"]),
    (("pools", 0, "meta"), {"k": 1}), (("pools", 0, "warmup"), "w.php"), (("pools", 0, "probe"), ENDLESS),
    (("pools", 0, "service"), None), (("pools", 0, "nmae"), "x"), (("pool",), []), (("consul",), "off"),
    (("consul", "url"), None), (("consul", "uri"), "off"), (("consul", "verify"), "no"), (("consul", "ttl_ms"), 99),
    (("consul", "heartbeat_ms"), 49), (("consul", "heartbeat_ms"), "500ms"), (("consul", "deregister_after_ms"), 2**31),
    (("log_level",), "info"), (("log_level",), ""), (("instance",), ""), (("instance",), "a/b"),
    (("health_listen",), "127.0.0.1:9180"), (("agent_listen",), [9180]), (("drain",), 5), (("drain", "quiet_ms"), -1),
    (("drain", "timeout_ms"), 3600001), (("drain", "grace_ms"), 1), (("hang_timeout_ms",), 99),
    (("probe_interval_ms",), 86400001), (("generation",), 2**32), (("master",), 1), (("master", "pid"), -1),
    (("master", "start"), 1), (("helper", "ino"), "1"), (("node",), 7),
]  # fmt: skip

# What fpm-health refuses and no schema could: what two values have to do with each other.
BEYOND = [
    (("pools", 1, "name"), "web"),
    (("consul", "heartbeat_ms"), 751),
]


def changed(path, value):
    config = copy.deepcopy(GOOD)
    inside = config
    for key in path[:-1]:
        inside = inside[key]
    if value is REMOVED:
        del inside[path[-1]]
    else:
        inside[path[-1]] = value
    return config


def schema_takes(config):
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(config)


def daemon_takes(config, directory):
    path = directory / "config.json"
    path.write_text(json.dumps(config))
    done = subprocess.run([BIN, "check-config", path], capture_output=True, text=True, timeout=20)
    assert done.returncode in (0, 78), done.stderr
    return done.returncode == 0


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("config", [GOOD, {"pools": []}, {"pools": [{"name": "a", "listen": "/a"}]}], ids=str)
def test_what_is_right_is_right_for_both(config, tmp_path):
    assert schema_takes(config) and daemon_takes(config, tmp_path)


def test_the_documented_example_is_right():
    text = (ROOT / "docs" / "config.md").read_text()
    assert schema_takes(json.loads(re.search(r"```json\n(.*?)```", text, re.S)[1]))


def test_what_is_wrong_is_wrong_for_both(tmp_path):
    for path, value in BAD:
        config = changed(path, value)
        assert (schema_takes(config), daemon_takes(config, tmp_path)) == (False, False), (path, value)


def test_what_only_the_daemon_can_see_is_said_in_the_schema(tmp_path):
    for path, value in BEYOND:
        config = changed(path, value)
        assert (schema_takes(config), daemon_takes(config, tmp_path)) == (True, False), (path, value)
        assert path[-1] in SCHEMA["description"]


def fields(table):
    """{key: (kind, least, most)} of a table of config_fields.c."""
    source = (ROOT / "fpm-health" / "config_fields.c").read_text()
    numbers = {
        "INT_MAX": 2**31 - 1,
        "UINT32_MAX": 2**32 - 1,
        "INT64_MAX": 2**63 - 1,
        "INT64_MIN": -(2**63),
        "HOUR_MS": 3600000,
    }

    def number(text):
        product = 1
        for factor in text.split("*"):
            product *= numbers.get(factor.strip()) or int(factor)
        return product

    rows = re.findall(
        r'\{"([$\w]+)", (\w+), [^,]+, ([^,]+), ([^,]+), \w+\}', source.split(f"{table}[] = {{")[1].split("{0}")[0]
    )
    return {key: (kind, number(least), number(most)) for key, kind, least, most in rows}


def resolved(schema):
    return {**SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]], **schema} if "$ref" in schema else schema


@pytest.mark.parametrize(
    ("table", "properties"),
    [
        ("top_fields", SCHEMA["properties"]),
        ("consul_fields", SCHEMA["properties"]["consul"]["properties"]),
        ("drain_fields", SCHEMA["properties"]["drain"]["properties"]),
        ("master_fields", SCHEMA["properties"]["master"]["properties"]),
        ("helper_fields", SCHEMA["properties"]["helper"]["properties"]),
        ("pool_fields", SCHEMA["$defs"]["pool"]["properties"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keys_kinds_and_bounds_are_those_of_the_code(table, properties):
    types = {"NUMBER": "integer", "FLAG": "boolean", "TEXTS": "array"}
    coded = fields(table)
    assert set(coded) == set(properties)
    for key, (kind, least, most) in coded.items():
        schema = resolved(properties[key])
        if kind in types:
            assert schema["type"] == types[kind], key
        if kind == "NUMBER":
            bounds = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63 - 1)
            assert bounds == (least, most), key


def test_defaults_are_those_of_the_code():
    source = (ROOT / "fpm-health" / "config.c").read_text()
    defaults = dict(re.findall(r"\.(\w+) = ([\w\"-]+)", source.split("*c = (struct config){")[1].split("};")[0]))
    sections = [SCHEMA["properties"], *(SCHEMA["properties"][name]["properties"] for name in ("consul", "drain"))]
    told = {key: schema["default"] for section in sections for key, schema in section.items() if "default" in schema}
    assert len(told) > 10
    for key, value in told.items():
        coded = defaults.get(key, "0")
        assert json.dumps(value) == coded, key
