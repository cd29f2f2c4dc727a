"""A closed-loop FastCGI load: each client sends its next request when it has the answer to the last."""

import threading
from collections import Counter

from . import fcgi


class Load:
    """
    `with Load(address, script, clients=12, query="ms=300") as load:` – stops when the block ends. A connection that FPM
    accepted and that ends without a whole answer counts as lost; one that is refused ends its client (FPM has gone). So
    does, where it `heeds` them, an answer that says that FPM drains: the client goes elsewhere.
    """

    def __init__(self, address, script, clients=12, query="", expect=b"", timeout=30, heeds=False):
        self.address, self.script, self.query, self.expect = address, script, query, expect
        self.timeout, self.heeds = timeout, heeds
        self.answered, self.refused = 0, 0
        self.lost = Counter()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._client, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop_soon(self):
        """No client sends another request after the one it is waiting for."""
        self._stop.set()

    def stop(self):
        """Lets every client finish its request; returns self."""
        self.stop_soon()
        self.join()
        return self

    def join(self, timeout=60):
        """Waits until all clients have ended, also because FPM has."""
        for thread in self._threads:
            thread.join(timeout)

    def _client(self):
        while not self._stop.is_set():
            try:
                sock = fcgi.connect(self.address, timeout=self.timeout)
            except OSError:
                with self._lock:
                    self.refused += 1
                return
            with sock:
                if self._request(sock) and self.heeds:
                    return

    def _request(self, sock):
        """-> whether the answer said that FPM drains"""
        draining = False
        try:
            fcgi.send(sock, self.script, self.query)
            answer = fcgi.receive(sock)
            good = answer.status == 200 and self.expect in answer.body
            kind = None if good else f"status {answer.status}"
            draining = answer.headers.get("svcreg-state") == "draining"
        except (OSError, EOFError) as error:
            kind = type(error).__name__
        with self._lock:
            if kind is None:
                self.answered += 1
            else:
                self.lost[kind] += 1
        return draining
