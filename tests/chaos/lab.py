"""The laboratory: a stack of real containers, and the ways to stop, kill, freeze and cut off its nodes."""

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlencode

from stacks import ROOT
from support.helper import UnixConnection
from support.waiting import until
from watch import BalancerWatch, ConsulWatch

PROJECT = os.environ.get("SVCREG_CHAOS_PROJECT", "svcregchaos")
START_S = 60
DOWN_S = 20
COMMAND_S = 180
SERF_STATES = ("none", "alive", "leaving", "left", "failed")
TAG = os.environ.get("SVCREG_TAG", "latest")
CLOCK = "/tmp/faketimerc"
ENGINE = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock").removeprefix("unix://")


def run(*command, check=True, timeout=COMMAND_S, **options):
    """-> what the command printed; a failure shows it"""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=ROOT, text=True, timeout=timeout, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def docker(*arguments, **options):
    return run("docker", *arguments, **options)


def engine(method, path, **query):
    """
    -> what Docker's engine itself answers; None if what a GET asks for is not there. What is looked at again and again
    is not asked through `docker`: each start of it takes 0.2 s of a processor, which the stack that is measured needs.
    """
    with contextlib.closing(UnixConnection(ENGINE, COMMAND_S)) as connection:
        connection.request(method, f"{path}?{urlencode(query)}")
        answer = connection.getresponse()
        text = answer.read()
    if answer.status == 404 and method == "GET":
        return None
    if answer.status not in (200, 204):
        raise RuntimeError(f"docker {method} {path}: {text.decode()}")
    return json.loads(text) if text else None


@dataclass(frozen=True)
class Container:
    """A running container; `name` is what svcreg calls a web node."""

    id: str
    name: str
    address: str
    pid: int

    def inside(self, *command, check=True):
        return docker("exec", self.id, *command, check=check)

    def in_network(self, *command):
        """Runs a program of this machine in the container's network."""
        return run("nsenter", "-t", self.pid, "-n", *command)

    def processes(self, *words):
        """-> pids on this machine of the processes whose command line holds all the words"""
        lines = docker("top", self.id, "-eo", "pid,args").splitlines()[1:]
        pids = [int(line.split()[0]) for line in lines if all(word in line for word in words)]
        if not pids:
            raise RuntimeError(f"no process {words} in {self.name}")
        return pids


MASTER = ("php-fpm: master",)
WORKERS = ("php-fpm: pool web",)
HELPER = ("fpm-health serve",)
AGENT = ("consul agent",)


def send(number, pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def inspect(ids):
    containers = []
    for entry in filter(None, (engine("GET", f"/containers/{one}/json") for one in ids)):
        networks = list(entry["NetworkSettings"]["Networks"].values())
        containers.append(
            Container(entry["Id"], entry["Config"]["Hostname"], networks[0]["IPAddress"], entry["State"]["Pid"])
        )
    return sorted(containers, key=lambda container: container.name)


class Laboratory:
    label = f"com.docker.compose.project={PROJECT}"
    own = f"label={label}"

    def __init__(self, stack):
        self.stack = stack
        self.consul_watch = self.balancer_watch = self.registrar = None

    # --- up and down

    @property
    def environment(self):
        return os.environ | {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": ":".join(self.stack.files),
            "SVCREG_HTTP_PORT": "0",
            "SVCREG_CONSUL_PORT": "0",
            "SVCREG_TAG": TAG,
            **self.stack.environment,
        }

    def compose(self, *arguments, check=True):
        command = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        return run(*command, *arguments, check=check, env=self.environment)

    def keep_logs(self, file):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.compose("logs", "--no-color", "--timestamps", "--tail=300", check=False))

    def deploy(self, *arguments, **variables):
        """Runs script/deploy; -> its exit status and what it said"""
        done = subprocess.run(
            ["script/deploy", *arguments],
            cwd=ROOT,
            env=self.environment | variables,
            text=True,
            timeout=COMMAND_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        return done.returncode, done.stdout

    def up(self, nodes):
        self.down()
        self.compose("up", "-d", "--scale", f"web={nodes}")
        self.consul_watch = ConsulWatch(self.server_addresses)
        if self.stack.registrar:
            from registrar import Registrar

            consul = self.container("consul").address
            wait_port(consul, 8500)  # what it cannot register it forgets
            self.registrar = Registrar(PROJECT, consul)
        self.balancer_watch = BalancerWatch.of(self.stack.watch, lambda: self.container(self.stack.balancer))
        self.wait_whole(nodes)

    def down(self):
        for part in (self.consul_watch, self.balancer_watch, self.registrar):
            if part:
                part.stop()
        self.consul_watch = self.balancer_watch = self.registrar = None
        until(self.is_down, DOWN_S, "the stack is down", every=1)

    def is_down(self):
        """Takes down what is there. Where Docker holds a network for used, docker-compose leaves the volumes too."""
        self.compose("down", "-v", "-t", "0", "--remove-orphans", check=False)
        volumes = docker("volume", "ls", "-q", "-f", self.own).split()
        if volumes:
            docker("volume", "rm", *volumes, check=False)
        return not docker("ps", "-aq", "-f", self.own) and not docker("volume", "ls", "-q", "-f", self.own)

    def ensure(self, nodes):
        """As many nodes as that, all of them serving."""
        for container in self.containers("web", every=True):
            self.heal(container)
        if len(self.containers("web")) != nodes:
            self.scale(nodes)
        self.wait_whole(nodes)

    def scale(self, nodes):
        self.compose("up", "-d", "--no-recreate", "--scale", f"web={nodes}")

    # --- who is there

    def containers(self, service, every=False):
        filters = json.dumps({"label": [self.label, f"com.docker.compose.service={service}"]})
        return inspect(one["Id"] for one in engine("GET", "/containers/json", all=int(every), filters=filters))

    def container(self, service):
        return self.containers(service)[0]

    def nodes(self):
        return self.containers("web")

    def servers(self):
        return [self.container(service) for service in self.stack.servers]

    def server_addresses(self):
        return [found[0].address for found in map(self.containers, self.stack.servers) if found]

    def data_of(self, server):
        """-> the folder on this machine where a server keeps its data"""
        mounts = json.loads(docker("inspect", "-f", "{{json .Mounts}}", server.id))
        return next(mount["Source"] for mount in mounts if mount["Destination"] == "/var/lib/consul")

    def consul_lacks(self, nodes):
        """-> what a server has not: a leader, or a member that it holds for alive; empty: all is well"""
        addresses = self.server_addresses()
        members = len(self.stack.servers) + (nodes if self.stack.agents else 0)
        if len(addresses) < len(self.stack.servers):
            return "servers"
        for address in addresses:
            try:
                if get(address, 8500, "/v1/status/leader") == b'""':
                    return f"a leader that {address} knows"
                states = serf_states(address)
                if list(states.values()).count("alive") != members:
                    others = ", ".join(f"{name} is {state}" for name, state in states.items() if state != "alive")
                    return f"members at {address}: {members} alive; {others or len(states)}"
            except (OSError, http.client.HTTPException) as error:
                return f"an answer of {address}: {error}"
        return ""

    def leader(self):
        """-> the server that leads"""
        for server in self.servers():
            with contextlib.suppress(OSError, http.client.HTTPException):
                address = json.loads(get(server.address, 8500, "/v1/status/leader")).rpartition(":")[0]
                return next(one for one in self.servers() if one.address == address)
        raise RuntimeError("no Consul server answers")

    def wait_whole(self, nodes, timeout=START_S):
        """Waits until so many nodes and no others are in Consul and in service at the balancer, and Consul is well."""

        begin = time.time()

        def lacks():
            expected = {node.name for node in self.nodes()}
            if len(expected) != nodes:
                return f"nodes: {len(expected)} of {nodes}"
            if begin >= min(self.consul_watch.looked_at, self.balancer_watch.looked_at):
                return "a look"
            seen = (self.consul_watch.known(), self.consul_watch.serving(), self.balancer_watch.serving())
            if any(one != expected for one in seen):
                known, passing, serving = map(len, seen)
                return f"a node of {nodes}: {known} are in Consul, {passing} pass, {serving} serve"
            return self.consul_lacks(nodes)

        try:
            until(lambda: not lacks(), timeout, f"{nodes} nodes are in Consul and in {self.stack.balancer}", every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error}; it lacks {lacks() or 'nothing now'}") from error

    def said(self, text, since):
        """-> how many lines of the nodes' logs since that moment hold the text"""
        logs = [docker("logs", "--since", f"{since:.3f}", node.id) for node in self.nodes()]
        return sum(log.count(text) for log in logs)

    def balancer_said(self, ids, since):
        """-> {id: what the balancer's log says of that request}"""
        lines = docker("logs", "--since", f"{since:.3f}", self.container(self.stack.balancer).id).splitlines()
        found = ((re.search(r"[?&]id=([^& ]+)", line), line) for line in lines)
        return {match[1]: line for match, line in found if match and match[1] in ids}

    # --- what can happen to a node

    def stop(self, *nodes):
        docker("stop", "-t", "60", *[node.id for node in nodes])

    def start(self, *containers):
        """Each has its address again, as a host that starts anew: Docker gives the first the lowest that is free."""
        docker("start", *[one.id for one in sorted(containers, key=lambda one: ip_address(one.address))])

    def kill(self, *nodes):
        docker("kill", *[node.id for node in nodes])

    def pause(self, node):
        engine("POST", f"/containers/{node.id}/pause")  # the fault's time counts from the call

    def unpause(self, node):
        docker("unpause", node.id)

    def drop(self, node, chain):
        """Drops what comes in (INPUT) or what goes out (OUTPUT)."""
        node.in_network("iptables", "-w", "-I", chain, "-i" if chain == "INPUT" else "-o", "eth0", "-j", "DROP")

    def undrop(self, node, chain):
        node.in_network("iptables", "-w", "-F", chain)

    def link(self, node, state):
        node.in_network("ip", "link", "set", "eth0", state)
        if state == "up":  # the route went with the link
            gateway = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", node.id)
            node.in_network("ip", "route", "replace", "default", "via", gateway.strip())

    def heal(self, node):
        """Undoes whatever a case that broke off may have left."""
        state = docker("inspect", "-f", "{{.State.Status}}", node.id).strip()
        if state == "paused":
            self.unpause(node)
        elif state != "running":
            self.start(node)
        else:
            send(signal.SIGCONT, node.processes())

    def waiting(self, node):
        """-> {balancer's end: what the kernel says} of each worker that waits for its peer to close, as FPM does"""
        lines = node.in_network("ss", "-HtnOi", "state", "fin-wait-1", "sport = :9000").splitlines()
        return {line.split()[3]: line for line in lines}

    def control(self, node, verb):
        """Asks the node's helper to drain, undrain, …, the way `fpm-health` does."""
        node.inside("fpm-health", verb)

    def set_clock(self, node, ahead_s):
        """What tells time to the node's processes, tests/chaos/clock.yml, reads from a file how wrong it is."""
        node.inside("sh", "-c", f"echo +{ahead_s} > {CLOCK}")

    def clock(self, node):
        """-> seconds since 1970, as the node's processes have it"""
        return int(node.inside("date", "+%s"))

    # --- redis, which counts how often each POST was done

    def forget_posts(self):
        self.container("redis").inside("redis-cli", "del", "chaos")

    def duplicates(self):
        """-> ids of the POSTs that were done more than once"""
        words = self.container("redis").inside("redis-cli", "hgetall", "chaos").split()
        return [key for key, count in zip(words[::2], words[1::2], strict=True) if int(count) > 1]


def serf_states(address):
    """-> {member: its state} as a Consul server has it"""
    members = json.loads(get(address, 8500, "/v1/agent/members"))
    return {member["Name"]: SERF_STATES[member["Status"]] for member in members}


def get(host, port, path, timeout=3.0):
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        if answer.status != 200:
            raise OSError(f"{path}: status {answer.status}")
        return answer.read()
    finally:
        connection.close()


class Load:
    """The generator's run: sends from `start` until `stop`, which waits for all that is in flight."""

    READY_S = 10
    END_S = 45

    def __init__(self, binary, address, rate, mix, run_id, out, timeout="30s"):
        options = {"url": f"http://{address}/", "rate": rate, "mix": mix, "run": run_id, "out": out, "timeout": timeout}
        words = [word for name, value in options.items() for word in (f"-{name}", str(value))]
        self.process = subprocess.Popen([binary, *words], stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        if line.strip() != "ready":
            raise RuntimeError(f"the load generator: {line}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(self.END_S)
        self.process.stderr.close()


def reachable(address, port=80):
    try:
        socket.create_connection((address, port), 1).close()
        return True
    except OSError:
        return False


def wait_port(address, port=80, timeout=START_S):
    until(lambda: reachable(address, port), timeout, f"{address}:{port} answers")
