"""How long the machine stood still: a virtual one can be without a processor for seconds, and its clock goes on."""

import os
import threading
import time

BEAT_S = 0.02
LEAST_S = 0.5  # less is what a thread may wait for its turn where very much runs


class Watch:
    """A thread sleeps for `BEAT_S` again and again. Where it wakes so much later, nobody here could do anything."""

    def __init__(self):
        self.start()
        os.register_at_fork(after_in_child=self.start)  # which has no other thread than the one that forked

    def start(self):
        self.state = time.monotonic(), 0.0  # its last beat, and all before that
        threading.Thread(target=self.run, daemon=True, name="standstill").start()

    def run(self):
        while True:
            time.sleep(BEAT_S)
            self.state = time.monotonic(), self.seconds()

    def seconds(self):
        """In all, a standstill that has just ended, or lasts, included."""
        beat, before_s = self.state
        late_s = time.monotonic() - beat - BEAT_S
        return before_s + (late_s if late_s >= LEAST_S else 0.0)


WATCH = Watch()
