"""A terminal for a program that draws on one: a pty, with pyte to read the screen as a person would."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

import pyte

from .waiting import until


class Terminal:
    """`with Terminal([program, …]) as terminal:` – what it shows is in `lines()`."""

    def __init__(self, arguments, columns=100, rows=24, **environment):
        self.arguments = [str(a) for a in arguments]
        self.environment = {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **environment}
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.written = b""

    def __enter__(self):
        self.master, self.slave = pty.openpty()
        self._set_size()
        self.settings = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            self.arguments, stdin=self.slave, stdout=self.slave, stderr=self.slave, env=self.environment,
            start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _set_size(self):
        size = struct.pack("HHHH", self.screen.lines, self.screen.columns, 0, 0)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, size)

    def resize(self, columns, rows):
        self.screen.resize(rows, columns)
        self._set_size()

    def read(self, seconds=0.02):
        """Takes in what the program writes within some time."""
        deadline = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            data = os.read(self.master, 65536)
            self.written += data
            self.stream.feed(data)

    def lines(self):
        self.read()
        return [line.rstrip() for line in self.screen.display]

    def text(self):
        return "\n".join(self.lines())

    def wait_text(self, text, timeout=5.0):
        until(lambda: text in self.text(), timeout, f"the screen says {text!r}")

    def press(self, keys):
        os.write(self.master, keys.encode())

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=5.0):
        """The exit status, after all that it wrote was read."""
        until(lambda: (self.read(), self.process.poll() is not None)[1], timeout, "the program ends")
        self.read()
        return self.process.returncode

    def is_given_back(self):
        """Whether the modes are as they were, the cursor is to be seen, and the first screen is back."""
        entered, left = self.written.rfind(b"\033[?1049h"), self.written.rfind(b"\033[?1049l")
        shown, hidden = self.written.rfind(b"\033[?25h"), self.written.rfind(b"\033[?25l")
        return termios.tcgetattr(self.slave) == self.settings and left > entered and shown > hidden
