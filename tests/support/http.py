"""HTTP as a simple prober speaks it, over TCP."""

import socket


def get(port, path):
    """(status, body)"""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        answer = b"".join(iter(lambda: sock.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    return int(head.split()[1]), body


def status(port, path):
    """The status, or None while nobody answers."""
    try:
        return get(port, path)[0]
    except OSError:
        return None
