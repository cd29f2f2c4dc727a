"""The examples for Kubernetes, Docker, Nagios and Sensu, done with a live node as those programs do them."""

import json
import os
import re
import shlex
import signal
import subprocess
import time

import pytest
import yaml
from lab import EXAMPLES, WORKERS, Web, seconds_until
from recorder import CHECK_HTTP, RECORDED
from support import fcgi, wire
from support.fpm import Held
from support.helper import BIN
from support.waiting import until

DOCS = EXAMPLES.parent
QUIET_S = 1.5  # a drain would be over: nobody asks, and probers have been told


def kubelet(port, probe):
    """What kubelet concludes of one httpGet: success where it answers 200 to 399 within the probe's timeout."""
    request = (RECORDED / "kubelet.request").read_bytes()
    request = request.replace(b"GET /ready/web ", f"GET {probe['httpGet']['path']} ".encode())
    try:
        answer = wire.exchange(f"127.0.0.1:{port}", request, probe["timeoutSeconds"])
    except OSError:
        return False
    return 200 <= int(answer.split()[1]) < 400


class Pod:
    """The example's only container, its health port the node's."""

    def __init__(self, web):
        (self.container,) = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())["spec"]["containers"]
        ports = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        self.web = web
        self.probes = {kind: self.container[f"{kind}Probe"] for kind in ("startup", "readiness", "liveness")}
        assert {ports[probe["httpGet"]["port"]] for probe in self.probes.values()} == {9180}

    def asked(self):
        return {kind: kubelet(self.web.http, probe) for kind, probe in self.probes.items()}

    def pre_stop(self):
        """Starts the preStop hook, as `exec` does."""
        name, *arguments = self.container["lifecycle"]["preStop"]["exec"]["command"]
        assert name == "fpm-health"
        return subprocess.Popen([BIN, *arguments, "--run-dir", str(self.web.helper.run_root)])


def test_kubernetes_sees_readiness_apart_from_liveness(workdir, show):
    with Web(workdir) as web:
        pod, rows = Pod(web), []

        def expect(what, ready, live):
            answer = pod.asked()
            rows.append([what, *(str(value) for value in answer.values())])
            assert answer == {"startup": ready, "readiness": ready, "liveness": live}

        expect("healthy", True, True)
        web.saturate()
        expect("saturated", True, True)
        web.helper.cli("maint", "on", "web")
        expect("maintenance", False, True)
        web.helper.cli("maint", "off", "web")
        web.fpm.kill()
        web.helper.wait_state("down")
        expect("FPM killed", False, False)
        web.fpm.start()
        web.helper.wait_state("healthy")
        expect("FPM started", True, True)
        show("Kubernetes' probes", ["what", *pod.probes], rows)


def test_kubernetes_pre_stop_drains_until_the_requests_are_done(workdir):
    with Web(workdir) as web:
        pod = Pod(web)
        held = Held(web.fpm)
        web.ask(1, held.script)
        until(lambda: web.helper.pool()["workers"]["active"] == 1, what="a request runs")
        hook = pod.pre_stop()
        until(lambda: not pod.asked()["readiness"], what="not ready")
        assert pod.asked()["liveness"]
        assert web.fpm.request(web.page).status == 200, "who comes all the same is served"
        time.sleep(QUIET_S)
        assert hook.poll() is None, "the running request is waited for"
        held.release()
        assert hook.wait(10) == 0


def test_kubernetes_grants_more_time_than_the_drain_takes():
    pod = yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text())["spec"]
    command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(command[-1].rstrip("s")) + 25 + 30, (
        "drain_timeout, process_control"
    )


def image():
    found = subprocess.run(["docker", "image", "inspect", "svcreg/php-fpm"], capture_output=True).returncode == 0
    return pytest.mark.skipif(not found, reason="the image svcreg/php-fpm is not built")


class Compose:
    """docs/examples/docker-compose.yml, under a project of its own."""

    PROJECT = "svcreg-probers"

    def __enter__(self):
        self.run("up", "-d")
        (self.container,) = self.run("ps", "-q").split()
        return self

    def __exit__(self, *_):
        self.run("down", "-t", "0")

    def run(self, *arguments):
        v2 = subprocess.run(["docker", "compose", "version"], capture_output=True).returncode == 0
        compose = ["docker", "compose"] if v2 else ["docker-compose"]
        command = [*compose, "-p", self.PROJECT, "-f", EXAMPLES / "docker-compose.yml", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    def inspect(self, path):
        command = ["docker", "inspect", "-f", "{{" + path + "}}", self.container]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def exec(self, *command):
        return subprocess.run(["docker", "exec", self.container, *command], capture_output=True, text=True, timeout=30)

    def stop_workers(self):
        """SIGSTOP, by their pids on this host."""
        top = subprocess.check_output(["docker", "top", self.container, "-eo", "pid,args"], text=True)
        workers = [int(line.split()[0]) for line in top.splitlines() if line.rstrip().endswith("pool web")]
        assert workers
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)

    def health(self):
        return self.inspect(".State.Health.Status")


@image()
def test_docker_calls_busy_healthy_and_stopped_unhealthy(show):
    rows = []
    with Compose() as stack:
        rows.append(["started", seconds_until(lambda: stack.health() == "healthy", 30), "healthy"])
        address = stack.inspect("range .NetworkSettings.Networks}}{{.IPAddress}}{{end") + ":9000"
        sockets = [fcgi.connect(address) for _ in range(30)]
        for sock in sockets:
            fcgi.send(sock, "/src/index.php", "sleep=10000")
        until(lambda: stack.exec("fpm-health", "check").returncode == 1, what="saturated")
        begun = stack.inspect("len .State.Health.Log}} {{(index .State.Health.Log 0).Start")
        until(lambda: stack.inspect("len .State.Health.Log}} {{(index .State.Health.Log 0).Start") != begun, 10)
        assert stack.health() == "healthy"
        rows.append(["saturated", "stays", "healthy"])
        stack.stop_workers()
        rows.append(["workers stopped", seconds_until(lambda: stack.health() == "unhealthy", 30), "unhealthy"])
        for sock in sockets:
            sock.close()
    show("Docker's health check, each 2 s, 2 retries", ["what", "seen after", "health"], rows)


def nagios_commands(**macros):
    """Command lines by name, macros replaced as Nagios does."""
    text = (EXAMPLES / "nagios.cfg").read_text()
    commands = {}
    for block in re.findall(r"define command \{(.*?)\n\}", text, re.S):
        own = dict(line.split(None, 1) for line in block.strip().splitlines())
        line = own["command_line"]
        for name, value in macros.items():
            line = line.replace(f"${name}$", value)
        assert "$" not in line, line
        commands[own["command_name"]] = line
    return commands


def perfdata(output):
    """Performance data as Nagios and Sensu read it: label=value;warn;crit;min;max, behind the bar."""
    return {
        label: float(value)
        for label, value in (item.split("=") for item in re.sub(";\\S*", "", output.split("|")[1]).split())
    }


def test_nagios_gets_its_codes_and_figures(workdir, show):
    with Web(workdir) as web:
        plugins, ours = CHECK_HTTP.rpartition("/")[0], BIN.rpartition("/")[0]
        macros = {"USER1": plugins, "USER2": ours, "HOSTADDRESS": "127.0.0.1", "ARG1": "web"}
        commands = nagios_commands(**macros, _HOSTFPM_HEALTH_PORT=str(web.http))
        run_dir = f" --run-dir {web.helper.run_root}"
        rows = []

        def expect(what, http, plugin):
            codes = {}
            for name, line in commands.items():
                line += run_dir if "fpm-health" in line else ""
                done = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=10)
                codes[name] = done.returncode
                rows.append([what, name, str(done.returncode), done.stdout.strip()[:90]])
            assert codes == {"check_fpm_ready": http, "check_fpm_pool": plugin}
            return perfdata(done.stdout)

        figures = expect("healthy", 0, 0)
        assert (figures["active"], figures["idle"], figures["queue"]) == (0, WORKERS, 0)
        web.saturate()
        figures = expect("saturated", 0, 1)
        assert (figures["active"], figures["idle"], figures["queue"]) == (WORKERS, 0, 8)
        web.helper.cli("drain", "web")
        expect("draining", 2, 2)
        web.fpm.kill()
        web.helper.cli("undrain", "web")
        web.helper.wait_state("down")
        expect("FPM killed", 2, 2)
        show("Nagios' commands", ["what", "command", "exit", "output"], rows)


def test_sensu_gets_the_same_as_metrics(workdir):
    spec = yaml.safe_load((EXAMPLES / "sensu.yaml").read_text())["spec"]
    name, *arguments = shlex.split(spec["command"])
    assert (name, spec["output_metric_format"]) == ("fpm-health", "nagios_perfdata")
    with Web(workdir) as web:
        command = [BIN, *arguments, "--run-dir", str(web.helper.run_root)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=spec["timeout"])
        assert done.returncode == 0
        assert perfdata(done.stdout).keys() == {"active", "idle", "queue"}


def test_each_example_is_run_by_a_test_and_named_in_the_page():
    sources = "".join(path.read_text() for path in EXAMPLES.parents[1].glob("tests/*/test_*.py"))
    page = (DOCS / "probers.md").read_text()
    for path in EXAMPLES.iterdir():
        assert f'"{path.name}"' in sources, f"no test runs {path.name}"
        assert f"(examples/{path.name})" in page, f"docs/probers.md does not name {path.name}"


def test_the_json_examples_are_json():
    for path in EXAMPLES.glob("*.json"):
        json.loads(path.read_text())
