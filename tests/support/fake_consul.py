"""A Consul that answers whatever a test wants."""

import contextlib
import http.server
import json
import threading
import time

GOOD = (200, b"{}")


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections in the same moment; the library's own 5 make some of them wait a second


class FakeConsul:
    """
    Answers as `answer(method, path)` says: (status, body) – or None: hangs for a while. Keeps what was asked, and what
    was answered.
    """

    def __init__(self, answer, port=0, address="127.0.0.1", headers=()):
        fake = self
        self.requests = []
        self.answered = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                fake.requests.append((self.command, self.path, dict(self.headers), body))
                result = answer(self.command, self.path)
                if result is None:
                    time.sleep(3)
                    self.close_connection = True
                    return
                status, text = result
                fake.answered.append((self.path, result))
                self.send_response(status)
                for header in headers:
                    self.send_header(*header)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(text)

            do_GET = do_PUT = serve

            def log_message(self, *_):
                pass

        self.server = Server((address, port), Handler)
        self.url = f"http://{address}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def asked(self, part):
        return [r for r in self.requests if part in r[1]]

    def registrations(self):
        """-> ID: the last registration of it that was sent, as text"""
        bodies = [body.decode() for _, path, _, body in list(self.requests) if path.endswith("/register")]
        return {json.loads(body)["ID"]: body for body in bodies}

    def took(self, part):
        """Whether a request for such a path was answered as a good Consul does."""
        return any(part in path and result == GOOD for path, result in self.answered)
