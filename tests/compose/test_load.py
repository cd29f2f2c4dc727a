"""The load generator itself: whatever a server does to a request is counted, under a name that says what it was."""

import socket
import time
from contextlib import contextmanager

import pytest
from load import Load
from support.listening import RESET_ON_CLOSE, listening

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nnode-1"
LAST_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nnode-1"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnod\r\n3\r\ne-1\r\n0\r\n\r\n"


@contextmanager
def server(*answers, reset=False):
    """Gives each connection these answers, one a request, then closes it: cleanly, or with RST."""

    def serve(connection):
        with connection:
            for answer in answers:
                if not connection.recv(65536):
                    return
                connection.sendall(answer)
            if reset:
                connection.recv(65536)
                connection.setsockopt(socket.SOL_SOCKET, *RESET_ON_CLOSE)

    with listening(serve) as address:
        yield f"http://{address}/?plain"


def seen(url, **options):
    with Load(url, clients=2, timeout=0.5, **options) as load:
        time.sleep(0.3)
    return load.result


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("answer", [ANSWER, CHUNKED])
def test_whole_answers_count_for_the_node_that_gave_them(method, answer):
    with server(*[answer] * 100_000) as url:
        result = seen(url, method=method)
    assert result.failed == 0, result
    assert result.connections == 2
    assert result.by_node == {"node-1": result.total}


def test_a_new_connection_after_connection_close_is_no_failure():
    with server(ANSWER, LAST_ANSWER) as url:
        result = seen(url)
    assert result.failed == 0, result
    assert result.connections > 2


@pytest.mark.parametrize(
    ("answers", "reset", "kind"),
    [
        ([ANSWER], False, "eof before the answer"),
        ([ANSWER], True, "ConnectionResetError"),
        ([ANSWER[:-1]], False, "eof in the body"),
        ([ANSWER[:30]], False, "eof in the headers"),
        ([CHUNKED[:-5]], False, "eof in the body"),
        ([b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"], False, "status 502"),
        ([b"nonsense\r\n"], False, "no status line"),
        ([b"", ANSWER], False, "timeout"),
    ],
)
def test_a_lost_request_is_counted_by_its_kind(answers, reset, kind):
    with server(*answers, reset=reset) as url:
        result = seen(url)
    assert result.by_kind[kind] > 0, result


def test_a_refused_connection_is_a_failure():
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
    assert seen(url).by_kind["connect: ConnectionRefusedError"] > 0


def test_a_rate_is_kept_over_all_clients():
    with server(*[ANSWER] * 1000) as url, Load(url, clients=5, rate=100) as load:
        time.sleep(1)
        load.stop()
        took_s = time.monotonic() - load.started
    assert 80 <= load.result.total <= 105 * took_s, load.result
