"""The load generator: an even rate, no failure without a name, nothing sent twice."""

import itertools
import re
import socket
from contextlib import contextmanager

import pytest
from support.listening import RESET_ON_CLOSE, listening


def answer(request, status="200 OK", body=None, head=""):
    """What the laboratory's page would say to it."""
    identity = re.search(rb"id=([^& ]+)", request)[1].decode()
    length = 1024 if request.startswith(b"POST") else 0
    body = f"node-1 {identity} {length} .\n" if body is None else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n{body}".encode()


@contextmanager
def server(*answers):
    """Gives each connection these answers in turn, over and over; None: RST. -> address, (request, answer) of each"""
    seen = []

    def serve(connection):
        with connection:
            for reply in itertools.cycle(answers):
                request = connection.recv(65536)
                if not request:
                    return
                data = reply(request) if reply else None
                seen.append((request, data))
                if data is None:
                    connection.setsockopt(socket.SOL_SOCKET, *RESET_ON_CLOSE)
                    return
                connection.sendall(data)
                if not data.endswith(b"\n"):
                    return

    with listening(serve) as address:
        yield address, seen


def test_requests_are_due_at_an_even_rate_and_in_the_shares_of_the_mix(send):
    with server(answer) as (address, _):
        requests = send(address, seconds=1.0, rate=100, mix="get=3,post=1,get-close=1")
    assert not [request for request in requests if request.failure]
    requests.sort(key=lambda request: request.start)
    gaps = [after.start - before.start for before, after in itertools.pairwise(requests)]
    assert all(abs(gap - 0.01) < 0.0001 for gap in gaps), "due times do not depend on what becomes of a request"
    rounds = len(requests) // 5
    kinds = [request.kind for request in requests[: 5 * rounds]]
    assert rounds and [kinds.count(kind) for kind in ("get", "post", "get-close")] == [3 * rounds, rounds, rounds]
    assert {request.node for request in requests} == {"node-1"}
    assert all(0 <= request.begun < request.latency for request in requests)


def test_the_rate_does_not_sink_when_nobody_answers(send):
    with socket.create_server(("127.0.0.1", 0), backlog=512) as silent:
        requests = send(f"127.0.0.1:{silent.getsockname()[1]}", seconds=1.0, rate=100)
    assert len(requests) >= 95
    assert {request.failure for request in requests} == {"timeout"}
    assert all(request.latency >= 0.99 for request in requests)


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (None, "reset"),
        (lambda request: answer(request, status="503 Service Unavailable"), "status 503"),
        (lambda request: answer(request, body="node-1 other 0 .\n"), "wrong answer"),
        (lambda request: answer(request)[:-3], "closed in the answer"),
        (lambda _: b"HTTP/1.1 200 OK", "closed"),
    ],
    ids=["reset", "status", "another's", "short", "headers"],
)
def test_every_failure_has_a_name(send, reply, failure):
    with server(reply) as (address, _):
        requests = send(address)
    assert requests
    assert {request.failure for request in requests} == {failure}


def test_a_refused_connection_is_named(send):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert {request.failure for request in send(f"127.0.0.1:{port}")} == {"connect refused"}


@pytest.mark.parametrize("mix", ["get=1", "post=1"])
def test_a_kept_connection_that_breaks_is_a_failure_and_nothing_is_sent_twice(send, mix):
    with server(answer, None) as (address, seen):
        requests = send(address, mix=mix)
    sent = [re.search(rb"id=([^& ]+)", request)[1].decode() for request, _ in seen]
    assert len(sent) == len(set(sent)) == len(requests)
    broken = {identity for identity, (_, data) in zip(sent, seen, strict=True) if data is None}
    assert broken and {request.id for request in requests if request.failure} == broken


def test_a_connection_is_not_used_when_it_was_idle_for_longer_than_the_server_allows(send):
    with server(lambda request: answer(request, head="Keep-Alive: timeout=1\r\n"), None) as (address, seen):
        requests = send(address, seconds=3.5, rate=0.8, mix="get=1")
    assert len(requests) == len(seen) > 1 and not [request for request in requests if request.failure]


def test_connection_close_is_no_failure(send):
    with server(lambda request: answer(request, head="Connection: close\r\n")) as (address, _):
        requests = send(address)
    assert requests and not [request for request in requests if request.failure]
