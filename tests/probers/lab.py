"""A live node for probers to look at, and the examples of docs/examples with its addresses in place of theirs."""

import re
import threading
import time
from pathlib import Path

from support import fcgi
from support.fpm import Fpm
from support.helper import Helper, listens
from support.waiting import free_ports, until

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
WORKERS = 4


class Web:
    """
    `with Web(directory) as web:` is a PHP-FPM with a pool "web" on TCP and its fpm-health, with HTTP on `http` and the
    agent-check on `agent`; the pool is healthy. `top` goes to config.json.
    """

    def __init__(self, directory, name="web1", **top):
        directory = Path(directory) / name
        directory.mkdir(mode=0o755)
        directory.chmod(0o755)
        self.port, self.http, self.agent = free_ports(3)
        own = {"listen": f"127.0.0.1:{self.port}", "pm.max_children": WORKERS}
        self.fpm = Fpm(directory, {"web": own})
        self.page = self.fpm.script("index.php", f"<?php echo '{name} ', $_SERVER['REQUEST_METHOD'];")
        self.sleep = self.fpm.script("sleep.php", "<?php usleep(1000 * (int) $_GET['ms']);")
        pools = [{"name": "web", "listen": self.fpm.listen(), "pm": "static", "max_children": WORKERS}]
        self.helper = Helper(directory, pools, **listens(directory, self.http, self.agent), **top)

    def __enter__(self):
        self.fpm.start()
        self.helper.start()
        self.helper.wait_state("healthy")
        return self

    def __exit__(self, *_):
        self.helper.stop()
        self.fpm.kill()

    def occupy(self, count, ms=60_000):
        """So many requests that take so long."""
        self.ask(count, self.sleep, f"ms={ms}")

    def ask(self, count, script, query=""):
        """So many requests, whose answers are read in the background."""
        for _ in range(count):
            sock = fcgi.connect(self.fpm.listen(), 90)
            fcgi.send(sock, script, query)
            threading.Thread(target=fcgi.finish, args=(sock,), daemon=True).start()

    def saturate(self):
        self.occupy(WORKERS + 8)
        self.helper.wait_state("degraded")

    def restart_fpm(self):
        """All workers are free again: nothing else wakes them."""
        self.fpm.kill()
        self.fpm.start()


def example(name, replacements):
    """An example's text; each key has to be there, and is replaced. Keys may be regular expressions."""
    text = (EXAMPLES / name).read_text()
    for pattern, value in replacements.items():
        text, count = re.subn(pattern, str(value).replace("\\", r"\\"), text)
        assert count, f"docs/examples/{name} does not have {pattern!r}"
    return text


def seconds_until(condition, timeout=10, what="the prober sees it"):
    """Waits, looking often; returns how long it took, as text."""
    begin = time.monotonic()
    until(condition, timeout, what, every=0.002)
    return f"{time.monotonic() - begin:.3f} s"
