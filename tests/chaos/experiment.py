"""One run of one case: load, fault, what follows, and the figures of it."""

import contextlib
import csv
import gzip
import http.client
import itertools
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path

import judge
from lab import Load, get
from support.waiting import until
from watch import back, left, serving

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SVCREG_CHAOS_LOAD", ROOT / "build" / "chaos" / "load"))
WARM_S = 1.5  # load before the case begins
SETTLE_S = 1.5  # load after all is well again
HOLD_S, FULL_HOLD_S = 5, 15  # so long a fault lasts that is not over at once
PLANNED_REQUESTS = 5000  # of a planned change with --full: 100,000 in 20 cycles
FILL_RATE = 300  # what is missing of them follows so fast, beside the case's own
FILL_MIX = "get=5,post=5,get-close=1,post-close=1,get-large=1"
WHOLE_S, FULL_WHOLE_S = 30, 90  # so long a case may take to be well again; who is missing then is missing
ELECTION_S = 30


class Experiment:
    """What a case's function is given."""

    def __init__(self, lab, case, repeat, full, directory):
        self.lab, self.case, self.repeat, self.full = lab, case, repeat, full
        self.hold_s = FULL_HOLD_S if full else HOLD_S
        self.directory = Path(directory)
        self.files = []
        self.victims, self.returning = (), ()
        self.fault_at = self.healed_at = None
        self.notes = {}
        self.address = lab.container(lab.stack.balancer).address

    # --- what the case says

    def victim(self):
        """Each repeat has another one."""
        nodes = self.lab.nodes()
        return nodes[self.repeat % len(nodes)]

    def fault(self, *victims):
        self.fault_at, self.victims = time.time(), victims

    def healed(self, *nodes):
        """From now on these nodes, else the victims, ought to come back."""
        self.healed_at, self.returning = time.time(), nodes or self.victims

    def gone(self, *nodes):
        """Waits until the balancer has taken them out since the fault."""
        until(
            lambda: all(left(self.lab.balancer_watch, node.name, self.fault_at) for node in nodes), 10, "they are out"
        )

    def returns(self, *nodes):
        """They come back by themselves: time to return counts from the fault."""
        self.healed_at, self.returning = self.fault_at, nodes
        self.gone(*nodes)

    def note(self, name, value):
        self.notes[name] = value

    @contextlib.contextmanager
    def burst(self, rate, mix, seconds):
        """Further load for so long, or until the block ends if that is later."""
        load, begin = self.load(rate, mix), time.monotonic()
        try:
            yield
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
        finally:
            load.stop()

    def elected(self):
        """Waits until Consul has a leader again."""

        def leader():
            with contextlib.suppress(OSError, http.client.HTTPException):
                return any(get(address, 8500, "/v1/status/leader") != b'""' for address in self.lab.server_addresses())

        until(leader, ELECTION_S, "Consul elects a leader", every=0.05)

    # --- the run

    def load(self, rate, mix):
        file = self.directory / f"{self.repeat}-{len(self.files)}.csv"
        self.files.append(file)
        run_id = f"{self.case.name}-{self.repeat}-{len(self.files)}"
        return Load(BINARY, self.address, rate, mix, run_id, file)

    def run(self):
        """-> the figures, and what is known of each request that failed or was slow"""
        self.lab.forget_posts()
        load, begin = self.load(self.case.rate, self.case.mix), time.monotonic()
        try:
            time.sleep(WARM_S)
            self.case.act(self)
            self.become_whole(FULL_WHOLE_S if self.full else WHOLE_S)
            time.sleep(SETTLE_S)
            missing = PLANNED_REQUESTS - (time.monotonic() - begin) * self.case.rate
            if self.full and self.case.planned and missing > 0:
                with self.burst(FILL_RATE, FILL_MIX, missing / (FILL_RATE + self.case.rate)):
                    pass
        finally:
            load.stop()
        self.become_whole(WHOLE_S)  # a node is out of service while the load saturates it, and is not missing
        seen = self.seen()
        return judge.figures(seen), self.explained(judge.evidence(seen), min(one.start for one in seen.requests))

    def become_whole(self, timeout):
        """Waits until all is well; what is missing after that is judged."""
        with contextlib.suppress(AssertionError):
            self.lab.wait_whole(self.case.nodes, timeout)

    def explained(self, evidence, since):
        """Adds the balancer's own line: whom it asked, and how long each took."""
        said = self.lab.balancer_said({one["id"] for one in evidence}, since) if evidence else {}
        return [one | {"balancer": said.get(one["id"])} for one in evidence]

    def seen(self):
        lab, names = self.lab, [node.name for node in self.victims]
        watches = (lab.consul_watch, lab.balancer_watch)
        expected = {node.name for node in lab.nodes()}
        returns = [
            back(watch, node.name, self.healed_at) for watch in watches for node in self.returning if self.healed_at
        ]
        return judge.Seen(
            requests=self.requests(),
            fault=self.fault_at,
            end=time.time(),
            out_of_consul=[left(lab.consul_watch, name, self.fault_at) for name in names],
            out_of_balancer=[left(lab.balancer_watch, name, self.fault_at) for name in names],
            back=returns,
            duplicates=lab.duplicates(),
            ghosts=sorted((lab.consul_watch.known() | lab.balancer_watch.serving()) - expected),
            missing=sorted(expected - (lab.consul_watch.serving() & lab.balancer_watch.serving())),
            removals=sum(self.removals(name) for name in expected - set(names)),
            notes=self.notes,
        )

    def removals(self, name):
        """-> how often the balancer took a node out of service"""
        states = [name in serving(states) for _, states in self.lab.balancer_watch.since(self.fault_at)]
        return sum(before and not after for before, after in itertools.pairwise(states))

    def requests(self):
        requests = []
        for file in self.files:
            with open(file, newline="") as stream:
                requests += [judge.parse(row) for row in csv.DictReader(stream)]
            with open(file, "rb") as plain, gzip.open(f"{file}.gz", "wb") as packed:
                shutil.copyfileobj(plain, packed)
            file.unlink()
        return requests

    def timelines(self):
        lab, begin = self.lab, self.fault_at
        return {
            "consul": [(when - begin, states) for when, states in lab.consul_watch.since(begin)],
            "balancer": [(when - begin, states) for when, states in lab.balancer_watch.since(begin)],
            "victims": [node.name for node in self.victims],
            "healed": self.healed_at and self.healed_at - begin,
            "looked_at": [watch.looked_at - begin for watch in (lab.consul_watch, lab.balancer_watch)],
        }


def perform(lab, case, repeat, full, directory):
    """Runs a case once and keeps what it gave in DIRECTORY/REPEAT.json. -> that"""
    directory.mkdir(parents=True, exist_ok=True)
    lab.ensure(case.nodes)
    experiment = Experiment(lab, case, repeat, full, directory)
    figures, evidence = experiment.run()
    result = {
        "case": case.name,
        "stack": case.stack,
        "figures": figures,
        "promise": asdict(case.promise),
        "broken": judge.broken(figures, case.promise),
        "evidence": evidence,
        "timelines": experiment.timelines(),
    }
    if result["broken"]:
        lab.keep_logs(directory / f"{repeat}.log")
    (directory / f"{repeat}.json").write_text(json.dumps(result, indent=1))
    return result
