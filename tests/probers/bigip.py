"""
A BIG-IP health monitor on the wire, as its documentation describes it: the send string with its escapes undone and a
line ending behind it; `recv` and `recv-disable` as regular expressions over all that comes back, headers and body; a
member that has not matched for `timeout` seconds is down.
"""

import json
import re
import shlex
import socket
import threading
import time
from dataclasses import dataclass

BIGD, TMM = b"\r\n\r\n", b"\r\n"  # what is put behind the send string, by who monitors
UP, DISABLED, DOWN, UNCHECKED = "up", "disabled", "down", "unchecked"


@dataclass
class Monitor:
    """One `ltm monitor http`; `port` is its alias service port."""

    send: str
    recv: str
    recv_disable: str
    interval: float
    timeout: float
    port: int

    @classmethod
    def from_tmsh(cls, text):
        """Of the first `create ltm monitor http` in a file of tmsh commands."""
        line = next(line for line in text.splitlines() if line.startswith("create ltm monitor http "))
        words = shlex.shlex(line, posix=True, punctuation_chars="{}")
        words.whitespace_split, words.escape = True, ""
        words = list(words)
        body = words[words.index("{") + 1 : words.index("}")]
        own = dict(zip(body[::2], body[1::2], strict=True))
        port = int(own["destination"].rpartition(":")[2])
        return cls(own["send"], own["recv"], own["recv-disable"], int(own["interval"]), int(own["timeout"]), port)

    @classmethod
    def from_as3(cls, text):
        """Of the only Monitor in an AS3 declaration."""
        found = []

        def walk(item):
            if isinstance(item, dict):
                found.extend([item] if item.get("class") == "Monitor" else [])
                for value in item.values():
                    walk(value)

        walk(json.loads(text))
        (own,) = found
        # JSON has its own \r and \n: AS3 hands the characters on, and the device writes them as escapes again
        send = own["send"].replace("\r", "\\r").replace("\n", "\\n")
        names = ("receive", "receiveDown", "interval", "timeout", "targetPort")
        return cls(send, *(own[name] for name in names))

    def bytes_sent(self, ending):
        text = self.send.replace("\\r", "\r").replace("\\n", "\n")
        return text.encode() + ending

    def judge(self, answer):
        """UP, DISABLED or None: no match."""
        text = answer.decode("latin-1")
        if re.search(self.recv, text):
            return UP
        return DISABLED if self.recv_disable and re.search(self.recv_disable, text) else None


class Member:
    """`with Member(monitor, port) as member:` is a pool member, monitored from now on; `state` is what it is in."""

    def __init__(self, monitor, ending=BIGD, port=None):
        self.monitor = monitor
        self.ending = ending
        self.port = port or monitor.port
        self.state = UNCHECKED
        self.probes = 0
        self._matched = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def probe(self):
        """Asks once; everything that comes back until the other side closes, or the monitor's interval is over."""
        received = b""
        try:
            with socket.create_connection(("127.0.0.1", self.port), self.monitor.interval) as sock:
                sock.sendall(self.monitor.bytes_sent(self.ending))
                while piece := sock.recv(5120):
                    received += piece
        except OSError:
            pass
        return received

    def _run(self):
        while not self._stop.is_set():
            result = self.monitor.judge(self.probe())
            now = time.monotonic()
            self.probes += 1
            if result:
                self.state, self._matched = result, now
            elif now - self._matched >= self.monitor.timeout:
                self.state = DOWN
            self._stop.wait(self.monitor.interval)
