"""
Load on three nodes behind one service while something is broken every few seconds; see script/soak.

The clients do what a load balancer does: they follow the service's passing members in Consul and go on with the last
list while it is empty or Consul is away. They never try again: a request that fails is lost, and only the death of its
worker excuses that.
"""

import argparse
import os
import random
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from support import descriptors
from support.consul import Consul
from support.fixtures import open_directory
from support.memory import memory_kb
from support.node import Node
from support.waiting import until

SERVICE = "soak"
NODES, WORKERS, CLIENTS, REQUEST_MS = 3, 3, 6, 20
EVERY_S = 5
CALM_S = 20  # the longest that a fault may be felt after its end
CONSUL_CONNECTIONS_MAX = 16
GROWTH_KB = 512  # of private memory: what malloc may keep of a larger moment
VETERAN = 0  # the node whose master and helper see it all through: growth shows in it


@dataclass
class Lost:
    node: str
    began: float
    ended: float
    why: str


class Balancer:
    """Clients of the service, and the list of members that they share."""

    def __init__(self, consul, nodes, seed):
        self.consul, self.nodes = consul, {node.name: node for node in nodes}
        self.members = [node.name for node in nodes]
        self.answered, self.lost = Counter(), []
        self.lock, self.ending = threading.Lock(), threading.Event()
        self.threads = [threading.Thread(target=self._follow, daemon=True)]
        self.threads += [
            threading.Thread(target=self._client, args=(random.Random(f"{seed}/{number}"),), daemon=True)
            for number in range(CLIENTS)
        ]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join(60)

    def _follow(self):
        index = 0
        while not self.ending.is_set():
            try:
                path = f"/v1/health/service/{SERVICE}?passing&index={index}&wait=1s"
                entries, new = self.consul.request("GET", path, timeout=5)
            except (OSError, ValueError):
                index = 0
                time.sleep(0.05)
                continue
            index = new if new >= index else 0
            members = [entry["Service"]["ID"].split(":")[1] for entry in entries]
            if members:
                self.members = members

    def _client(self, chance):
        while not self.ending.is_set():
            name, began = chance.choice(self.members), time.monotonic()
            why = self._ask(self.nodes[name], name)
            with self.lock:
                if why is None:
                    self.answered[name] += 1
                else:
                    self.lost.append(Lost(name, began, time.monotonic(), why))

    @staticmethod
    def _ask(node, name):
        try:
            answer = node.request(node.page, f"ms={REQUEST_MS}", timeout=60)
        except (OSError, EOFError) as error:
            return f"{type(error).__name__}: {error}"
        good = answer.status == 200 and answer.body.startswith(name.encode())
        return None if good else f"status {answer.status}: {answer.body[:80]!r}"


class Soak:
    """One run: `Soak(minutes, seed).run()` returns what was wrong, nothing when all was well."""

    def __init__(self, minutes, seed, say=print):
        self.minutes, self.seed, self.say = minutes, seed, say
        self.chance = random.Random(seed)
        self.faults = [self.kill_worker, self.kill_helper, self.reload, self.freeze_workers]
        self.faults += [self.wipe_consul, self.drain, self.add_pool, self.stop_and_start]
        self.deadly = {self.kill_helper, self.stop_and_start}  # for what the veteran is there to show
        self.kills, self.counts, self.wrong = [], Counter(), []

    # --- the faults

    def kill_worker(self, node):
        victim = self.chance.choice(node.workers())
        self.kills.append((node.name, time.monotonic()))
        os.kill(victim, signal.SIGKILL)

    def kill_helper(self, node):
        killed = node.helper_pid()
        os.kill(killed, signal.SIGKILL)
        until(lambda: node.helper_pid() != killed, 3, "another helper")

    def reload(self, node):
        node.reload()

    def freeze_workers(self, node):
        frozen = node.workers()
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(0.3, 2))
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)

    def wipe_consul(self, _):
        self.consul.stop()
        time.sleep(self.chance.uniform(0.1, 2))
        self.consul.start()

    def drain(self, node):
        assert node.fpm_health("drain", "web").returncode == 0
        node.wait_state("draining")
        time.sleep(self.chance.uniform(0.1, 1))
        assert node.fpm_health("undrain", "web").returncode == 0

    def add_pool(self, node):
        node.pools["extra"] = {"php_admin_value[svcreg.service]": f"{node.name}-extra"}
        node.write_config()
        node.reload()
        node.wait_passing("extra", timeout=CALM_S)
        del node.pools["extra"]
        node.write_config()
        node.reload()
        self.consul.wait_gone(f"{node.name}-extra", timeout=CALM_S)

    def stop_and_start(self, node):
        code = node.stop()
        if code != 0:
            self.wrong.append(f"{node.name} ended with {code} at a planned stop")
        self.consul.wait(SERVICE, lambda members: all(node.name not in m["Service"]["ID"] for m in members), CALM_S)
        node.start()

    # --- where everything has to end: as it began

    def settled(self):
        """All nodes are healthy, with all their workers, and registered as passing."""
        for node in self.nodes:
            until(lambda n=node: len(n.workers()) == WORKERS, CALM_S, f"{node.name} has its workers")
            node.wait_state("healthy", timeout=CALM_S)
        self.consul.wait_status(SERVICE, "passing", count=NODES, timeout=CALM_S)

    def traces(self):
        """What must be the same at the end."""
        found = {"services in Consul": sorted(self.consul.services())}
        for node in self.nodes:
            status = node.status()["pools"]
            found[f"{node.name}: pools"] = [(p["name"], p["state"], p["weight"], p["registered"]) for p in status]
            found[f"{node.name}: workers"] = len(node.workers())
            found[f"{node.name}: helper's descriptors"] = self.descriptors(node.helper_pid())
            found[f"{node.name}: master's descriptors"] = descriptors.kinds(node.pid)
            found[f"{node.name}: processes"] = len(node.children())
        return found

    def descriptors(self, pid):
        """Without connections to Consul, of which libcurl keeps as many as it needs: their number is bounded."""
        to_consul = f":{self.consul.port:04X}"
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        kept = {f"socket:[{line[9]}]" for line in lines if line[2].endswith(to_consul)}
        of_consul = len(kept.intersection(descriptors.opened(pid)))
        assert of_consul <= CONSUL_CONNECTIONS_MAX, f"{of_consul} connections to Consul"
        found = descriptors.kinds(pid)
        found["socket:"] -= of_consul
        return found

    def memory(self):
        """Private kB of what lives from begin to end."""
        veteran = self.nodes[VETERAN]
        return {"helper": memory_kb(veteran.helper_pid()).uss, "master": memory_kb(veteran.pid).uss}

    def run(self):
        directory = open_directory()
        self.say(f"seed {self.seed}, {self.minutes:g} min, a fault every {EVERY_S} s")
        self.nodes = []
        try:
            with Consul(directory) as self.consul:
                for number in range(NODES):
                    self.nodes.append(self.made(directory, number))
                self.soak()
            return self.wrong
        finally:
            for node in self.nodes:
                node.kill()
            if self.wrong:
                self.say(f"logs are in {directory}")
            else:
                shutil.rmtree(directory, ignore_errors=True)

    def made(self, directory, number):
        folder = Path(directory) / f"s{number}"
        folder.mkdir()
        folder.chmod(0o755)
        own = {"pm.max_children": WORKERS, "php_admin_value[svcreg.service]": SERVICE}
        return Node(folder, f"s{number}", self.consul, {"web": own}, top={"process_control_timeout": "10s"}).start()

    def soak(self):
        veteran = self.nodes[VETERAN]
        self.settled()
        self.before = self.traces()
        lifelong = (veteran.pid, veteran.helper_pid())
        with Balancer(self.consul, self.nodes, self.seed) as load:
            time.sleep(EVERY_S)  # start-up is over
            self.settled()
            memory = self.memory()
            self.break_things(load)
        self.settled()
        self.judge(load, memory, lifelong)

    def break_things(self, load):
        begin = time.monotonic()
        while (at := time.monotonic() - begin) < 60 * self.minutes and not self.wrong:
            fault = self.chance.choice(self.faults)
            node = self.nodes[self.chance.randrange(VETERAN + 1 if fault in self.deadly else 0, NODES)]
            self.counts[fault.__name__] += 1
            self.say(f"{at:7.1f} s  {fault.__name__:14} {node.name}  {sum(load.answered.values())} answered")
            try:
                fault(node)
                self.settled()
            except AssertionError as error:
                self.wrong.append(f"{at:.1f} s, {fault.__name__} of {node.name}: {error}")
            time.sleep(max(0, EVERY_S - (time.monotonic() - begin - at)))

    def judge(self, load, memory, lifelong):
        veteran = self.nodes[VETERAN]
        after = self.memory()
        excused = self.excused(load.lost)
        self.say(f"faults: {dict(self.counts)}")
        self.say(f"{sum(load.answered.values())} requests answered, {excused} died with their worker, "
                 f"{len(load.lost) - excused} lost")  # fmt: skip
        self.say(f"private kB of {veteran.name}, before and after: {memory} {after}")
        if len(load.lost) > excused:
            self.wrong += [f"lost: {lost}" for lost in load.lost]
        if lifelong != (veteran.pid, veteran.helper_pid()):
            self.wrong.append(f"master or helper of {veteran.name} is another process than at the start")
        self.wrong += [f"the {k} grew by {after[k] - memory[k]} kB" for k in after if after[k] - memory[k] > GROWTH_KB]
        self.compare()

    def compare(self):
        """The end against the begin; what is on its way at this moment gets a moment."""
        try:
            until(lambda: self.traces() == self.before, CALM_S, "as in the beginning")
        except AssertionError:
            after = self.traces()
            self.wrong += [f"{k}: {self.before[k]} became {after[k]}" for k in after if after[k] != self.before[k]]

    def excused(self, lost):
        """How many of the lost were in a worker when it was killed: one a kill at most."""
        left, count = list(lost), 0
        for name, at in self.kills:
            hit = next((entry for entry in left if entry.node == name and entry.began <= at <= entry.ended + 0.1), None)
            if hit:
                left.remove(hit)
                count += 1
        return count


def main():
    parser = argparse.ArgumentParser(prog="script/soak")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    options = parser.parse_args()
    soak = Soak(options.minutes, options.seed, lambda line: print(line, flush=True))
    wrong = soak.run()
    print("\n".join(f"WRONG: {line}" for line in wrong) or "nothing lost, nothing grown")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
