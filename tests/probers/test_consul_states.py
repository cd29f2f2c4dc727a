"""Each state as a blocking query on a real Consul shows it: pushed by fpm-health, and pulled by the example's check."""

import json
import queue
import threading
from time import monotonic

import pytest
from lab import Web, example
from support.consul import Consul, our_check


class Watch:
    """Blocking queries on one service, one after the other; `seen()` gives how long after `begin` a verdict came."""

    def __init__(self, consul, service, verdict):
        self.consul, self.service, self.verdict = consul, service, verdict
        self.news = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self):
        index = 0
        while not self._stop.is_set():
            path = f"/v1/health/service/{self.service}?index={index}&wait=10s"
            try:
                entries, index = self.consul.request("GET", path)
            except OSError:
                return
            self.news.put((monotonic(), self.verdict(entries)))

    def stop(self):
        self._stop.set()

    def seen(self, wanted, begin, timeout=8):
        """Seconds from `begin` until a query has answered with this."""
        told = []
        while True:
            try:
                at, verdict = self.news.get(timeout=max(0.01, begin + timeout - monotonic()))
            except queue.Empty:
                raise AssertionError(f"{wanted} not within {timeout} s; Consul told {told}") from None
            told.append(verdict)
            if verdict == wanted:
                return at - begin


def registered(entries):
    """(status, first word of the output, Consul's own maintenance mode) of our TTL check."""
    if not entries:
        return "gone", "", False
    check = our_check(entries[0])
    maintenance = any(c["CheckID"].startswith("_service_maintenance") for c in entries[0]["Checks"])
    return check["Status"], check["Output"].split(":")[0].strip(), maintenance


def pulled(entries):
    """Status of the example's check."""
    return (
        next((c["Status"] for c in entries[0]["Checks"] if c["CheckID"] == "php-web-health"), "none")
        if entries
        else "gone"
    )


@pytest.fixture
def told(show):
    """`told(watch)` returns `after(what, act, wanted)`; the table is shown in the end."""
    rows = []

    def told(watch):
        def after(what, act, wanted):
            begin = monotonic()
            act()
            took = watch.seen(wanted, begin)
            rows.append([what, wanted if isinstance(wanted, str) else wanted[0], f"{1000 * took:.0f} ms"])

        return after

    yield told
    show("A blocking query on Consul", ["what", "status", "seen after"], rows)


def test_every_state_of_a_registered_pool(workdir, own_consul, told):
    with Web(workdir, consul={"url": own_consul.url}, node="probers") as web:
        watch = Watch(own_consul, "web", registered)
        after = told(watch)
        after("registered", lambda: None, ("passing", "healthy", False))
        after("saturated", lambda: web.occupy(12), ("warning", "degraded", False))
        after("drain", lambda: web.helper.cli("drain", "web"), ("critical", "draining", False))
        after("undrain", lambda: web.helper.cli("undrain", "web"), ("warning", "degraded", False))
        after("maint on", lambda: web.helper.cli("maint", "on", "web"), ("critical", "maintenance", True))
        after("maint off", lambda: web.helper.cli("maint", "off", "web"), ("warning", "degraded", False))
        after("FPM killed", web.fpm.kill, ("critical", "down", False))
        after("FPM started", web.fpm.start, ("passing", "healthy", False))
        after("SIGTERM: drained, then gone", web.helper.process.terminate, ("gone", "", False))
        watch.stop()


def test_the_example_of_a_check_that_consul_pulls(workdir, told):
    with Web(workdir) as web:
        service = workdir / "consul.json"
        service.write_text(example("consul.json", {"127.0.0.1:9180": f"127.0.0.1:{web.http}"}))
        definition = json.loads(service.read_text())["service"]
        with Consul(workdir, f"-config-file={service}") as consul:
            watch = Watch(consul, definition["name"], pulled)
            after = told(watch)
            after("agent started", lambda: None, "passing")
            after("saturated", lambda: web.occupy(12), "warning")
            after("drain", lambda: web.helper.cli("drain", "web"), "critical")
            after("undrain", lambda: web.helper.cli("undrain", "web"), "warning")
            after("FPM killed", web.fpm.kill, "critical")
            after("FPM started", web.fpm.start, "passing")
            watch.stop()
