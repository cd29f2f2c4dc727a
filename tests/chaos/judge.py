"""From what was seen to figures, and from figures to a verdict. Pure: no I/O, no clock."""

from collections import Counter
from dataclasses import asdict, dataclass, field

SLOW_S = 1.0  # so much later than the page itself takes: slow
VERY_SLOW_S = 10.0
STARVED_S = SLOW_S / 2  # so late the generator itself may be: beyond that the machine has no time for the stack either


@dataclass(frozen=True)
class Request:
    """A line of the generator's file; times in seconds."""

    id: str
    kind: str
    idempotent: bool
    expected: float
    start: float
    latency: float
    failure: str  # empty: all is well
    node: str
    begun: float = 0.0  # how late the generator itself was

    @property
    def late(self):
        return self.latency - self.expected


def parse(row):
    """-> the Request of a row of the generator's CSV"""
    return Request(
        id=row["id"],
        kind=row["kind"],
        idempotent=row["idempotent"] == "true",
        expected=int(row["expected_ms"]) / 1000,
        start=int(row["start_us"]) / 1e6,
        latency=int(row["latency_us"]) / 1e6,
        failure=row["failure"],
        node=row["node"],
        begun=int(row["begun_us"]) / 1e6,
    )


@dataclass(frozen=True)
class Promise:
    """What a case must keep to. None: counted, not judged."""

    failed_idempotent: int | None = 0
    failed_other: int | None = 0  # None: in-flight POSTs may be lost, see bad_until
    bad_until: float | None = None  # no request that starts later than so many seconds after the fault fails
    slow_until: float | None = None  # … or is slow
    slow: int | None = None  # slow requests in all
    out_of_consul: float | None = None  # seconds until the victim is no longer in service
    out_of_balancer: float | None = None
    back: float | None = None  # seconds from the end of the fault until it is in service for good, at the balancer
    stuck: int | None = None  # workers of the victim that still wait for who cannot be reached, when the fault ends
    removals: int | None = None  # times a node that is no victim went out of service at the balancer


@dataclass
class Seen:
    """What one run of a case left behind; moments as the clock has them, durations in seconds."""

    requests: list
    fault: float
    end: float
    out_of_consul: list = field(default_factory=list)  # for each victim; None: never
    out_of_balancer: list = field(default_factory=list)
    back: list = field(default_factory=list)
    duplicates: list = field(default_factory=list)
    ghosts: list = field(default_factory=list)
    missing: list = field(default_factory=list)
    removals: int = 0
    notes: dict = field(default_factory=dict)  # further figures of the case's own


def longest(values):
    """-> the greatest, None if there is none or one never came"""
    return None if not values or None in values else max(values)


def is_slow(request):
    return not request.failure and request.late > SLOW_S


def evidence(seen, most=50):
    """-> the requests that failed or were slow, the last ones if there are more"""
    bad = sorted((one for one in seen.requests if one.failure or is_slow(one)), key=lambda one: one.start)[-most:]
    return [asdict(one) | {"start": one.start - seen.fault} for one in bad]


def figures(seen):
    """-> everything that the table and the gate want to know, as plain JSON"""
    failed = [request for request in seen.requests if request.failure]
    slow = [request for request in seen.requests if is_slow(request)]
    starts = [request.start for request in failed]
    return {
        "requests": len(seen.requests),
        "failed_idempotent": sum(request.idempotent for request in failed),
        "failed_other": sum(not request.idempotent for request in failed),
        "kinds": dict(Counter(f"{request.kind}: {request.failure}" for request in failed)),
        "window": max(starts) - min(starts) if starts else 0.0,
        "last_failed": max(starts) - seen.fault if starts else None,
        "last_slow": max(request.start for request in slow) - seen.fault if slow else None,
        "slow": len(slow),
        "very_slow": sum(request.late > VERY_SLOW_S for request in slow),
        "slowest": max((request.late for request in seen.requests), default=0.0),
        "generator_late": max((request.begun for request in seen.requests), default=0.0),
        "out_of_consul": longest(seen.out_of_consul),
        "out_of_balancer": longest(seen.out_of_balancer),
        "back": longest(seen.back),
        "victims": len(seen.out_of_consul),
        "duplicates": len(seen.duplicates),
        "ghosts": len(seen.ghosts),
        "missing": len(seen.missing),
        "removals": seen.removals,
        **seen.notes,
    }


def _over(figures, promises):
    """-> a text for each that was not kept of (figure, what it says, bound or None, unit)"""
    values = [(figures[name], *rest) for name, *rest in promises]
    return [
        f"{what}: {show(value)}{unit}, promised {bound:g}{unit}"
        for value, what, bound, unit in values
        if bound is not None and (value is None or value > bound)
    ]


def lost(figures, promise):
    """-> what must never be, however little time the machine has: one text each"""
    promises = [
        ("failed_idempotent", "idempotent requests failed", promise.failed_idempotent, ""),
        ("failed_other", "other requests failed", promise.failed_other, ""),
        ("duplicates", "POSTs were done twice", 0, ""),
        ("ghosts", "ghosts stayed", 0, ""),
        ("missing", "nodes are missing", 0, ""),
        ("removals", "nodes that were well were taken out", promise.removals, ""),
    ]
    if promise.stuck is not None:
        promises.append(("stuck", "workers were still waiting for who cannot be reached", promise.stuck, ""))
    return _over(figures, promises) + ([] if figures["requests"] else ["no request was sent"])


def late(figures, promise):
    """-> what took longer than promised, one text each"""
    promises = [("slow", "slow requests", promise.slow, "")]
    if figures["last_failed"] is not None:
        promises.append(("last_failed", "a request failed that started after the fault by", promise.bad_until, " s"))
    if figures["last_slow"] is not None:
        promises.append(("last_slow", "a request was slow that started after the fault by", promise.slow_until, " s"))
    if figures["victims"]:
        promises.append(("out_of_consul", "out of Consul after", promise.out_of_consul, " s"))
        promises.append(("out_of_balancer", "out of the balancer after", promise.out_of_balancer, " s"))
    if promise.back is not None:
        promises.append(("back", "back in service after", promise.back, " s"))
    return _over(figures, promises)


def broken(figures, promise):
    """-> what was not kept, one text each; empty: passed"""
    return lost(figures, promise) + late(figures, promise)


def void(figures, promise):
    """Whether the run says nothing: only times are wrong with it, and the load generator itself had too little."""
    return figures["generator_late"] > STARVED_S and bool(late(figures, promise)) and not lost(figures, promise)


def show(value):
    """A figure for people: never, 17, 0.123, 1.23, 12.3"""
    if value is None:
        return "never"
    if isinstance(value, int):
        return str(value)
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.3g}"
