"""A TCP server for one test."""

import socket
import threading
from contextlib import contextmanager

RESET_ON_CLOSE = (socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # for setsockopt(SOL_SOCKET, …): its close sends RST


@contextmanager
def listening(serve):
    """Hands each connection to `serve`, in a thread of its own. -> host:port"""

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
