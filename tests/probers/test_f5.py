"""F5 BIG-IP: the examples for tmsh and AS3, and the old send strings, through a monitor on the wire, in every state."""

import contextlib
import select
import socket

import pytest
from bigip import BIGD, DISABLED, DOWN, TMM, UP, Member, Monitor
from lab import EXAMPLES, Web, seconds_until
from support.waiting import until

TMSH = Monitor.from_tmsh((EXAMPLES / "f5.tmsh").read_text())
AS3 = Monitor.from_as3((EXAMPLES / "f5-as3.json").read_text())


def plain(send):
    """The default monitor with another send string."""
    return Monitor(send, "state=ready", "state=drain", 1, 4, 9180)


MONITORS = {
    "tmsh": TMSH,
    "AS3": AS3,
    "no version": plain("GET /f5/web\\r\\n"),
    "no version, \\n alone": plain("GET /f5/web\\n"),
    "no version, no line end": plain("GET /f5/web"),
    "HTTP/1.0": plain("GET /f5/web HTTP/1.0\\r\\n\\r\\n"),
}


def test_both_examples_say_the_same():
    assert TMSH == AS3
    assert TMSH.bytes_sent(b"").startswith(b"GET /f5/web HTTP/1.1\r\nHost: ")
    assert TMSH.bytes_sent(b"").endswith(b"\r\n\r\n")


@pytest.mark.parametrize("answer, state", [
    (b"state=ready\n", UP), (b"state=drain\n", DISABLED), (b"state=starting\n", None), (b"state=maint\n", None),
    (b"state=down\n", None), (b"", None), (b"state=drain state=ready", UP),
])  # fmt: skip
def test_the_tokens_lead_to_these_states(answer, state):
    assert TMSH.judge(answer) == state


def test_every_monitor_sees_up_busy_drained_maintained_and_down(workdir, show):
    rows = []
    with Web(workdir) as web, contextlib.ExitStack() as stack:
        members = {
            (name, "bigd" if ending is BIGD else "TMM"): stack.enter_context(Member(monitor, ending, web.http))
            for name, monitor in MONITORS.items()
            for ending in (BIGD, TMM)
        }

        def seen(what, state, timeout=8):
            def all_are():
                return {member.state for member in members.values()} == {state}

            rows.append(
                [
                    what,
                    state,
                    seconds_until(all_are, timeout, f"{what}: { ({k: m.state for k, m in members.items()}) }"),
                ]
            )

        seen("healthy", UP)
        web.saturate()
        asked = {way: member.probes for way, member in members.items()}
        until(lambda: all(member.probes >= asked[way] + 2 for way, member in members.items()), what="each asks twice")
        assert {member.state for member in members.values()} == {UP}
        rows.append(["saturated", UP, "stays"])
        web.helper.cli("drain", "web")
        seen("drain", DISABLED)
        web.helper.cli("undrain", "web")
        seen("undrain", UP)
        web.helper.cli("maint", "on", "web")
        seen("maint on", DOWN)
        web.helper.cli("maint", "off", "web")
        seen("maint off", UP)
        web.fpm.kill()
        seen("FPM killed", DOWN)
        show(
            f"BIG-IP's monitor, interval 1 s, timeout 4 s, {len(members)} ways to ask",
            ["what", "member", "seen after"],
            rows,
        )


@pytest.mark.parametrize(
    "send", ["GET /f5/web\\\\r\\\\n", "GET /f5/nope HTTP/1.0\\r\\n\\r\\n", "GET / HTTP/1.0\\r\\n\\r\\n", "x"]
)
def test_a_wrong_send_string_is_never_up(workdir, send):
    with Web(workdir) as web:
        for ending in (BIGD, TMM):
            member = Member(plain(send), ending, web.http)
            assert member.monitor.judge(member.probe()) is None


@pytest.mark.parametrize("name", [name for name in MONITORS if name != "no version, no line end"])
def test_an_ending_in_a_packet_of_its_own_costs_no_answer(workdir, name):
    with Web(workdir) as web, socket.create_connection(("127.0.0.1", web.http), 5) as sock:
        sock.sendall(MONITORS[name].bytes_sent(b""))
        ended = select.poll()
        ended.register(sock, select.POLLRDHUP)
        assert ended.poll(5000), "answered, and closed"
        sock.sendall(BIGD)
        ended.modify(sock, select.POLLHUP)
        ended.poll(2000)  # a reset, where no end is awaited: it must not take back what has come
        received = b""
        while piece := sock.recv(5120):
            received += piece
        assert MONITORS[name].judge(received) == UP
