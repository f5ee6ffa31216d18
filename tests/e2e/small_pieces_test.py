"""What a client sends in tiny pieces to an origin that is not there yet costs about what it says, not a block a byte."""

import socket
import struct

from support.ca import Lineage
from support.genkan import TLS, Genkan
from support.wire import Connection, tls_context

MIB = 1 << 20

CONFIG = TLS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "http://127.0.0.1:{port}"
"""

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
STREAMS = range(1, 33, 2)
BODY = 48 * 1024  # below the stream's window, and all of them below the connection's


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


HEAD = (literal(b":method", b"POST") + literal(b":scheme", b"https") + literal(b":authority", b"a.test") +
        literal(b":path", b"/up"))


class Full:
    """An origin whose queue is full: connections to it neither come to be nor fail."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self.port = self._listener.getsockname()[1]
        self._kept = [socket.socket() for _ in range(4)]
        for one in self._kept:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", self.port))
        return self

    def __exit__(self, *_):
        for one in (*self._kept, self._listener):
            one.close()


def await_answer_to_ping(client):
    client.send(frame(PING, 0, 0, b"12345678"))
    while True:
        head = client.stream.read(9)
        assert len(head) == 9, "the connection ended"
        payload = client.stream.read(int.from_bytes(head[:3], "big"))
        if head[3] == PING and head[4] & 1 and payload == b"12345678":
            return


def test_data_frames_of_a_byte_cost_no_block_each(ca, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with Full() as origin, Genkan(tmp_path, CONFIG.format(lineage=lineage.path, port=origin.port)) as genkan:
        with Connection(genkan.tls_port, tls_context(ca.root, alpn=("h2",))) as client:
            client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0))
            await_answer_to_ping(client)
            before = genkan.memory_bytes()
            for stream in STREAMS:
                client.send(frame(HEADERS, 4, stream, HEAD))
                client.send(frame(DATA, 0, stream, b"x") * BODY)
            await_answer_to_ping(client)
            grown = genkan.memory_bytes() - before
            print(f"{len(STREAMS) * BODY / MIB:.2f} MiB of bodies: {grown / MIB:.1f} MiB of memory")
            assert grown < 64 * MIB
