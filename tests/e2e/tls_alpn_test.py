"""tls-alpn-01: only such a ClientHello is passed as bytes, and a real client gets its certificate that way."""

import select
import socket
import ssl
import threading
import time

import pytest

from support.acme_clients import Lego
from support.ca import Lineage
from support.clients import curl, s_client
from support.eventually import eventually
from support.genkan import Genkan
from support.pebble import Pebble
from support.ports import reserve_port

TLS = '[[listener]]\naddress = "127.0.0.1:0"\ntls = true\n'


def config(lineage, origin, tls_alpn, listeners=TLS + TLS, longest="120s"):
    return listeners + f"""
[acme_challenge]
tls_alpn = "{tls_alpn}"
[limits]
handshake_timeout      = "{longest}"
handshakes_per_address = 0

[[site]]
names        = ["a.test"]
certificates = ["{lineage.path}"]
upstream     = "{origin.url}"
"""


@pytest.fixture(scope="module", name="lineage")
def _lineage(ca, tmp_path_factory):
    return Lineage(tmp_path_factory.mktemp("lineage"), "a.test", ca.issue("a.test"))


class Responder:
    """Who answers tls-alpn-01: a TCP server on loopback that keeps what it gets, says what it was told and closes.

    Without anything to say it holds the connection. `received`: the records of the last one.
    """

    def __init__(self, says=b""):
        self.says, self.received, self.connections = says, b"", 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self):
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            with peer:
                self.connections += 1
                threading.Thread(target=self._talk, args=(peer.dup(),), daemon=True).start()

    def _talk(self, peer):
        with peer:
            try:
                record = peer.recv(5, socket.MSG_WAITALL)
                self.received = record + peer.recv(int.from_bytes(record[3:], "big"), socket.MSG_WAITALL)
                peer.sendall(self.says)
                while not self.says and peer.recv(65536):
                    pass
            except OSError:
                pass


def hello(*protocols, name="a.test"):
    """The bytes of a ClientHello with these protocols."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def say(port, *pieces, longest=60):
    """What comes back for these bytes until the other side closes."""
    with socket.create_connection(("127.0.0.1", port), longest) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            connection.sendall(piece)
        back = b""
        try:
            while more := connection.recv(65536):
                back += more
        except ConnectionError:
            pass
        return back


def is_six(answered):
    return answered if len(answered) == 6 else None


NO_APPLICATION_PROTOCOL = b"\x02\x78"  # fatal, 120


def test_lego_gets_a_certificate_by_tls_alpn(ca, lineage, origin, tmp_path):
    port = reserve_port()
    with Genkan(tmp_path, config(lineage, origin, f"127.0.0.1:{port}", TLS)) as genkan, \
            Pebble(tmp_path, ca, tls_port=genkan.tls_port) as pebble:
        lego = Lego(tmp_path, pebble, ca)
        chain = lego.issue("new.test", how=["--tls", "--tls.port", f"127.0.0.1:{port}"])
        assert chain.count("BEGIN CERTIFICATE") >= 2
        assert curl(genkan, "a.test", "/x", ca=ca.root).stdout == "hello /x\n", "all others get us"
        eventually(lambda: f"name=new.test by=127.0.0.1:{port}" in genkan.log(), what="who asked, who answered")
        eventually(lambda: genkan.status()["traffic"]["challenges"]["tls_alpn_passed"] >= 1, what="the count")


def test_every_tls_listener_passes_the_bytes_as_they_are(lineage, origin, tmp_path):
    says = b"\x15\x03\x03\x00\x02\x02\x28 whatever it says"
    with Responder(says) as responder, Genkan(tmp_path, config(lineage, origin, responder.address)) as genkan:
        for port in genkan.tls_ports:
            for cut in (None, 1, 5, 40):
                sent = hello("acme-tls/1")
                pieces = [sent] if cut is None else [sent[:cut], sent[cut:]]
                assert say(port, *pieces) == says
                assert responder.received == sent
        assert responder.connections == 8


def test_nothing_else_is_passed(ca, lineage, origin, tmp_path):
    with Responder(b"never") as responder, Genkan(tmp_path, config(lineage, origin, responder.address)) as genkan:
        port = genkan.tls_port
        assert curl(genkan, "a.test", "/h2", "--http2", ca=ca.root).stdout == "hello /h2\n"
        assert curl(genkan, "a.test", "/h1", "--http1.1", ca=ca.root).stdout == "hello /h1\n"
        assert "acme-tls/1" not in s_client(port, "a.test", "-alpn", "acme-tls/1,http/1.1")
        for protocols in (("acme-tls/1", "acme-tls/1"), ("acme-tls/2",), ("acme-tls/",), ("ACME-TLS/1",)):
            assert NO_APPLICATION_PROTOCOL in say(port, hello(*protocols)), protocols
        assert NO_APPLICATION_PROTOCOL in say(port, hello("acme-tls/1", name=None)), "without a name"
        say(port, b"GET /acme-tls/1 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert NO_APPLICATION_PROTOCOL in say(port, hello("acme-tls/2") + hello("acme-tls/1")), \
            "the first hello counts"
        assert responder.connections == 0 and origin.requests[-1]["path"] == "/h1"


def test_a_responder_that_is_not_there_or_says_nothing_holds_nothing(ca, lineage, origin, tmp_path):
    port = reserve_port()
    with Genkan(tmp_path / "absent", config(lineage, origin, f"127.0.0.1:{port}")) as genkan:
        assert NO_APPLICATION_PROTOCOL in say(genkan.tls_port, hello("acme-tls/1"))
        eventually(lambda: "tls_alpn_unanswered" in genkan.log() and "refused" in genkan.log(),
                   what="the log says that nobody listens")
        eventually(lambda: genkan.status()["traffic"]["challenges"]["tls_alpn_refused"] == 1, what="the count")
    with Responder() as responder, Genkan(tmp_path / "mute", config(lineage, origin, responder.address, longest="2s")) as genkan:
        began = time.monotonic()
        assert say(genkan.tls_port, hello("acme-tls/1")) == b""
        assert time.monotonic() - began < 30, "handshake_timeout is for these too"
        assert curl(genkan, "a.test", "/", ca=ca.root).stdout == "hello /\n"


def test_many_at_once_are_refused_beyond_the_limits(ca, lineage, origin, tmp_path):
    sent = hello("acme-tls/1", name="00.test")
    with Responder() as responder, \
            Genkan(tmp_path, config(lineage, origin, responder.address)) as genkan:
        held = []
        try:
            for i in range(70):
                held.append(socket.create_connection(("127.0.0.1", genkan.tls_port), 60))
                held[-1].sendall(sent.replace(b"00.test", b"%02d.test" % i))
            eventually(lambda: genkan.status()["traffic"]["challenges"]["tls_alpn_refused"] >= 6,
                       what="64 under way, the others refused")
            refused = eventually(lambda: is_six(select.select(held, [], [], 0)[0]), what="their alerts")
            assert all(NO_APPLICATION_PROTOCOL in one.recv(100) for one in refused)
            assert curl(genkan, "a.test", "/", ca=ca.root).stdout == "hello /\n"
        finally:
            for connection in held:
                connection.close()
        eventually(lambda: genkan.status()["traffic"]["connections"]["open"] == 0, what="all are gone")
        with socket.create_connection(("127.0.0.1", genkan.tls_port), 60) as after:
            after.sendall(sent)
            eventually(lambda: responder.connections == 65, what="there is room again")
