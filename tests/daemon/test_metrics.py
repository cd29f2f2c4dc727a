"""/metrics, as Prometheus' own tools and parsers read it, and everything in docs/ that builds on it."""

import contextlib
import json
import os
import re
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from support import fcgi
from support.board import Board
from support.clock import least
from support.fpm import Fpm
from support.helper import Helper
from support.waiting import free_port, until

DOCS = Path(__file__).resolve().parents[2] / "docs"
OPENMETRICS = "application/openmetrics-text"
PROMETHEUS = f"{OPENMETRICS};version=1.0.0,{OPENMETRICS};version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
HOSTILE = 'a "b\\c\n{d}=1'

PROBE_MS = 5  # no probe is to be answered later
SETTLED_S = 6  # new pools are looked at again and again; then every 500 ms, and each look has an answer made anew
LOOK_S, SCRAPES = 0.6, 9

# What the common exporter has for each pool, and for each worker; request durations and the like FPM alone knows.
EXPORTER = [
    "up",
    "scrape_failures",
    "start_since",
    "accepted_connections",
    "listen_queue",
    "max_listen_queue",
    "listen_queue_length",
    "idle_processes",
    "active_processes",
    "total_processes",
    "max_active_processes",
    "max_children_reached",
    "slow_requests",
]
EXPORTER_WORKERS = {"process_requests": {"child"}, "process_state": {"child", "state"}}

# Those that its Grafana dashboard asks for, of what can be known without FPM's full status.
EXPORTER_DASHBOARD = [
    "up",
    "scrape_failures",
    "accepted_connections",
    "listen_queue",
    "idle_processes",
    "active_processes",
    "total_processes",
    "max_children_reached",
    "process_requests",
    "process_state",
]


def promtool(*arguments, stdin=None, cwd=None):
    done = subprocess.run(["promtool", *arguments], input=stdin, cwd=cwd, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def fpm(workdir):
    pool = {
        "pm.max_children": 3,
        "pm.status_path": "/status",
        "request_slowlog_timeout": 1,
        "slowlog": workdir / "slow",
    }
    with Fpm(workdir, {"web": pool}) as fpm:
        yield fpm


@pytest.fixture
def helper(workdir, fpm, consul):
    """A pool that serves and is registered, with FPM's status page and a board; and one with a name to be escaped."""
    board = Board({"web": 3, HOSTILE: 1})
    board.set_master(fpm.pid)
    pools = [
        {"name": "web", "listen": fpm.listen(), "max_children": 3, "status_path": "/status"},
        {"name": HOSTILE, "listen": "127.0.0.1:1"},
    ]
    with Helper(workdir, pools, board=board, consul={"url": consul.url}, node="metrics") as helper:
        helper.board = board
        helper.wait_state("healthy")
        until(lambda: all(pool["registered"] for pool in helper.status()["pools"]), what="registered")
        yield helper
    board.close()


def scrape(helper, accept=""):
    status, headers, body = helper.get("/metrics", headers={"Accept": accept})
    assert status == 200
    return headers["Content-Type"], body


def samples(families):
    """{(name, labels): value} of what does not change from one scrape to the next."""
    moving = ("svcreg_sample_age_seconds", "svcreg_probes", "svcreg_consul_request", "phpfpm_start_since")
    return {
        (s.name, tuple(sorted(s.labels.items()))): s.value
        for family in families
        for s in family.samples
        if not s.name.startswith(moving)
    }


def test_both_formats_say_the_same_each_by_its_own_rules(helper):
    def same():  # each is made at a look of its own
        answers = scrape(helper), scrape(helper, PROMETHEUS)
        return samples(parse_text(answers[0][1])) == samples(parse_openmetrics(answers[1][1])) and answers

    (plain_type, plain), (open_type, open_) = until(same, what="both say the same")
    assert plain_type == "text/plain; version=0.0.4; charset=utf-8"
    assert open_type == f"{OPENMETRICS}; version=1.0.0; charset=utf-8"
    assert open_.endswith("\n# EOF\n") and "# EOF" not in plain
    families = list(parse_openmetrics(open_))
    types = {family.name: family.type for family in families}
    assert types["svcreg_requests"] == types["svcreg_transitions"] == types["svcreg_probes"] == "counter"
    assert types["svcreg_build"] == "info" and types["phpfpm_accepted_connections"] == "unknown"
    assert types["svcreg_consul_request_duration_seconds"] == "summary"


def test_promtool_has_nothing_against_svcregs_own_metrics(helper):
    text = scrape(helper)[1]
    own = [line for line in text.splitlines() if re.match(r"(# (HELP|TYPE) )?svcreg_", line)]
    assert len(own) > 30
    assert promtool("check", "metrics", stdin="\n".join(own) + "\n") == (0, "")
    code, said = promtool("check", "metrics", stdin=text)
    assert code in (0, 3) and "error while linting" not in said  # 3: style, of names that are the common exporter's
    assert all(line.startswith("phpfpm_") for line in said.splitlines())


def test_names_and_labels_are_the_common_exporters(helper, fpm):
    wanted = {"pool": "web", "scrape_uri": f"unix://{fpm.listen()};/status"}
    helper.board.slot(1).pid = os.getpid()
    helper.board.slot(1).requests = 7
    helper.board.slot(1).busy = 1
    until(lambda: 'state="Running"} 1' in scrape(helper)[1], what="the worker is seen")
    found = {family.name: family.samples for family in parse_text(scrape(helper)[1])}
    for name in EXPORTER:
        (sample,) = [s for s in found[f"phpfpm_{name}"] if s.labels["pool"] == "web"]
        assert sample.labels == wanted, name
    for name, labels in EXPORTER_WORKERS.items():
        for sample in found[f"phpfpm_{name}"]:
            assert set(sample.labels) == {*wanted, *labels}
    assert [s.value for s in found["phpfpm_process_requests"]] == [7]
    assert {s.labels["state"]: s.value for s in found["phpfpm_process_state"]} == {"Idle": 0, "Running": 1}
    assert not [name for name in EXPORTER_DASHBOARD if not found[f"phpfpm_{name}"]]


def test_figures_are_those_of_fpm_and_of_the_kernel(helper, fpm):
    script = fpm.script("sleep.php", "<?php usleep((int) ($_GET['us'] ?? 0));")
    waiting = [fcgi.connect(fpm.listen()) for _ in range(5)]
    for sock in waiting:
        fcgi.send(sock, script, "us=1500000")

    def value(name):
        return next(s.value for f in parse_text(scrape(helper)[1]) for s in f.samples
                    if s.name == name and s.labels.get("pool") == "web")  # fmt: skip

    until(lambda: value("svcreg_listen_queue") == 2, what="two wait")
    for sock in waiting:
        fcgi.receive(sock)
        sock.close()
    until(lambda: value("svcreg_listen_queue") == 0, what="nobody waits")
    assert 2 <= value("phpfpm_max_listen_queue") <= 5  # all five, if the look came before FPM took the first
    assert value("phpfpm_listen_queue_length") > 2
    assert 0 <= value("phpfpm_start_since") < 100
    until(lambda: value("phpfpm_slow_requests") == 5, what="FPM's own count of slow requests")


def test_a_pool_that_answers_nothing_is_down_for_the_exporters_users_too(helper):
    text = scrape(helper)[1]
    escaped = HOSTILE.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    assert f'phpfpm_up{{pool="{escaped}",scrape_uri="tcp://127.0.0.1:1"}} 0' in text
    assert 'phpfpm_up{pool="web"' in text
    assert f'svcreg_state{{pool="{escaped}",state="healthy"}} 0' in text


def metric_names(expression):
    """Names of our metrics in an expression of PromQL."""
    return set(re.findall(r"\b(?:svcreg|phpfpm)_\w+", expression))


def known_names(helper):
    """All that /metrics can say: with a transition, a probe and a worker, none is left out."""
    helper.board.slot(0).pid = os.getpid()
    helper.get("/ready/web")
    until(lambda: "phpfpm_process_requests{" in scrape(helper)[1], what="a worker is seen")
    return {s.name for family in parse_text(scrape(helper)[1]) for s in family.samples}


def rules():
    return (DOCS / "prometheus" / "svcreg.rules.yml").read_text()


def dashboard():
    return json.loads((DOCS / "grafana" / "svcreg.json").read_text())


def expressions():
    """What the dashboard asks, with its variables as Grafana fills them in."""
    values = {"$__rate_interval": "1m", "$job": ".*", "$node": ".*", "$pool": ".*"}
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            expression = target["expr"]
            for variable, value in values.items():
                expression = expression.replace(variable, value)
            yield expression


def test_rules_are_right_and_each_alert_fires_when_it_should_and_only_then():
    assert promtool("check", "rules", DOCS / "prometheus" / "svcreg.rules.yml")[0] == 0
    assert promtool("test", "rules", "alerts.yml", cwd=Path(__file__).parent) == (
        0,
        "Unit Testing:  alerts.yml\n  SUCCESS\n\n",
    )
    tried = (Path(__file__).parent / "alerts.yml").read_text()
    for alert in re.findall(r"- alert: (\w+)", rules()):
        assert alert in tried, f"alerts.yml does not try {alert}"


def test_each_alert_says_how_bad_it_is_and_what_to_do():
    alerts = rules().split("- alert: ")[1:]
    assert len(alerts) >= 10
    for alert in alerts:
        assert re.search(r"severity: (critical|warning|info)\n", alert)
        assert "summary:" in alert and len(alert.partition("description:")[2].split()) > 10


def test_rules_and_dashboard_ask_for_nothing_that_is_not_there(helper):
    known = known_names(helper)
    asked = metric_names(" ".join(re.findall(r"expr: (.*)", rules())) + " ".join(expressions()))
    assert len(asked) > 12 and not asked - known


def test_dashboard_is_whole():
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
        assert panel["title"] and panel["targets"]
    assert {v["name"] for v in board["templating"]["list"]} == {"datasource", "job", "node", "pool"}
    assert {
        d["uid"] for panel in panels for d in (panel["datasource"], *(t["datasource"] for t in panel["targets"]))
    } == {"${datasource}"}


def discovered(consul):
    """What Prometheus' own discovery gives its relabelling, of each instance of the service "svcreg"."""
    return [
        {
            "targets": [f"{entry['Service']['Address'] or entry['Node']['Address']}:{entry['Service']['Port']}"],
            "labels": {
                "__meta_consul_service_id": entry["Service"]["ID"],
                "__meta_consul_service_port": str(entry["Service"]["Port"]),
            },
        }
        for entry in consul.health("svcreg")
    ]


class Prometheus:
    """Prometheus with docs/prometheus as it stands, but for Consul: Debian's is built without that discovery."""

    def __init__(self, directory, targets):
        self.port = free_port()
        (directory / "targets.json").write_text(json.dumps(targets))
        text = (DOCS / "prometheus" / "prometheus.yml").read_text()
        discovery = re.search(r"    consul_sd_configs:\n      - server: .*\n        services: \[svcreg\]\n", text)[0]
        text = text.replace(discovery, f"    file_sd_configs:\n      - files: [{directory}/targets.json]\n")
        text = text.replace("scrape_interval: 15s", "scrape_interval: 500ms\n    scrape_timeout: 500ms")
        (directory / "prometheus.yml").write_text(text)
        (directory / "svcreg.rules.yml").write_text(rules())
        self.directory = directory

    def __enter__(self):
        files = [f"--config.file={self.directory}/prometheus.yml", f"--storage.tsdb.path={self.directory}/tsdb"]
        arguments = ["prometheus", *files, f"--web.listen-address=127.0.0.1:{self.port}"]
        with (self.directory / "prometheus.log").open("wb") as log:
            self.process = subprocess.Popen(arguments, stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)

    def api(self, path, **query):
        assert self.process.poll() is None, (self.directory / "prometheus.log").read_text()[-2000:]
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code == 503:  # not ready yet
                return None
            raise AssertionError(f"{query}: {error.read().decode()}") from error
        except OSError:
            return None

    def query(self, expression):
        return (self.api("query", query=expression) or {"result": []})["result"]


def test_a_real_prometheus_scrapes_what_consul_names_and_answers_the_dashboard(workdir, fpm, own_consul):
    port = free_port()
    board = Board({"web": 3})
    board.set_master(fpm.pid)
    listen = [f"0.0.0.0:{port}", f"unix:{workdir}/health.sock"]
    pools = [{"name": "web", "listen": fpm.listen(), "max_children": 3, "status_path": "/status"}]
    consul = {"url": own_consul.url}
    with Helper(workdir, pools, board=board, consul=consul, node="n7", instance="main", health_listen=listen) as helper:
        helper.wait_state("healthy")
        targets = until(lambda: discovered(own_consul), what="svcreg is in the catalog")
        loopback = {"targets": ["127.0.0.1:1"], "labels": {"__meta_consul_service_id": "svcreg:x:y",
                                                           "__meta_consul_service_port": "0"}}  # fmt: skip
        with Prometheus(workdir, [*targets, loopback]) as prometheus:
            until(lambda: prometheus.query("svcreg_state"), 20, "Prometheus has it")
            (target,) = prometheus.api("targets", state="active")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
            assert {key: target["labels"][key] for key in ("job", "node", "fpm")} == {
                "job": "svcreg", "node": "n7", "fpm": "main"
            }  # fmt: skip
            helper.cli("drain", "web")
            until(
                lambda: prometheus.query("rate(svcreg_transitions_total[1m]) > -1"), 20, "two scrapes after the drain"
            )
            unanswered = [e for e in expressions() if not prometheus.query(e)]
            until(lambda: not [e for e in unanswered if not prometheus.query(e)], 10, f"answers to {unanswered}")
            groups = prometheus.api("rules")["groups"]
            assert [rule["health"] for group in groups for rule in group["rules"] if rule["health"] == "err"] == []
    board.close()


@pytest.mark.figures
def test_a_thousand_pools_are_told_of_before_any_probe_would_be_late(workdir, record_property):
    """While an answer is rendered no other is given: what each costs, by the helper's own CPU time."""
    with contextlib.ExitStack() as stack:
        pools = []
        for i in range(1000):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.bind(f"{workdir}/{i}.sock")
            sock.listen(1)
            pools.append({"name": f"pool{i:04}", "listen": f"{workdir}/{i}.sock", "max_children": 5})
        helper = stack.enter_context(Helper(workdir, pools))

        def cpu_ms(path):
            time.sleep(LOOK_S)
            before = int(helper.proc("schedstat").split()[0])
            assert helper.get(path)[0] == 200
            return (int(helper.proc("schedstat").split()[0]) - before) / 1e6

        time.sleep(SETTLED_S)
        for path in ("/metrics", "/status"):
            cost = least(lambda path=path: statistics.median(cpu_ms(path) for _ in range(SCRAPES)), PROBE_MS)
            record_property(path, cost)
            assert cost <= PROBE_MS, path
