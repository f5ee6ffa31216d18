"""Ports for programs that cannot be given 0: nobody else gets them while the test's process lives.

A socket that is bound and does not listen holds the port: a connection to it is refused, whoever asks the system for any
port is given another one, and a server that says SO_REUSEADDR, as all of them do, may listen on it.
"""

import socket

_held = []


def reserve_port():
    """A TCP port of 127.0.0.1 that is free also for UDP. Until a server takes it, connections to it are refused."""
    for _ in range(1000):
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        _held.append(tcp)
        tcp.bind(("127.0.0.1", 0))
        # Only now: with it from the beginning two of us could have the same one.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        port = tcp.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            try:
                udp.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is free for TCP and UDP")
