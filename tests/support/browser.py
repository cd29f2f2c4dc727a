"""A headless Chromium, driven through its debugging pipe: no port, no driver, no library."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

import pytest

from .waiting import until

BIN = shutil.which("chromium")
ANSWER_S = 20


class Browser:
    """`with Browser(directory) as browser: browser.open(url)` – one page."""

    def __init__(self, directory):
        self.profile = directory / "chromium"
        self.log = directory / "chromium.log"
        self.buffer = b""
        self.sent = 0
        self.events = []
        self.session = None

    def __enter__(self):
        if not BIN:
            pytest.skip("no chromium on this machine")
        commands, self.commands = os.pipe()
        self.answers, answers = os.pipe()
        # the debugging pipe is descriptors 3 and 4
        arguments = [BIN, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                     "--disable-background-networking", f"--user-data-dir={self.profile}", "--remote-debugging-pipe",
                     "about:blank"]  # fmt: skip
        script = f'exec "$@" 3<&{commands} 4>&{answers}'
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", *arguments], pass_fds=(commands, answers), stdout=log, stderr=log
            )
        os.close(commands)
        os.close(answers)
        target = next(t for t in self.call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        return self

    def __exit__(self, *_):
        os.close(self.commands)  # it ends with its pipe
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.answers)

    def call(self, method, **parameters):
        """One command of the DevTools protocol; what else arrives meanwhile is kept in `events`."""
        self.sent += 1
        message = {"id": self.sent, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + ANSWER_S
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def _receive(self, deadline):
        while b"\0" not in self.buffer:
            readable, _, _ = select.select([self.answers], [], [], max(0, deadline - time.monotonic()))
            piece = os.read(self.answers, 65536) if readable else b""
            assert piece, f"chromium says nothing: {self.log.read_text(errors='replace')[-2000:]}"
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def look(self, width, height=900, dark=False):
        """Sets the screen and the preferred colour scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setScrollbarsHidden", hidden=True)
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, url):
        self.call("Page.navigate", url=url)

    def run(self, expression):
        """The value of a JavaScript expression, awaited if it is a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self):
        """What a person reads."""
        return self.run("document.body ? document.body.innerText : ''")

    def wait_text(self, text, timeout=10.0):
        until(lambda: text in self.text(), timeout, f"the page says {text!r}")

    def complaints(self):
        """What Chromium has to say against the page: its console, refusals by the policy, exceptions."""
        self.run("0")  # whatever happened before has then arrived
        kinds = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [event["params"] for event in self.events if event.get("method") in kinds]

    def requests(self):
        """The URLs that were asked for."""
        self.run("0")
        sent = [event["params"] for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [parameters["request"]["url"] for parameters in sent]

    def screenshot(self, path, whole=True):
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))
