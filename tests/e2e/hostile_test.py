"""Bad input at the door: a protocol answer or the end, bounded memory, and nobody else notices."""

import concurrent.futures
import contextlib
import os
import ssl
import threading
import time

import pytest

from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.origin import Origin
from support.wire import Connection, open_files, tls_context

MIB = 1 << 20

CONFIG = LISTENERS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"

[[site]]
names             = ["plain.test"]
upstream          = "{origin}"
redirect_to_https = false
"""

NOT_HTTP = {
    "bytes": b"\x00\x01\x02\x03\xff\xfe\r\n\r\n",
    "hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x5a" * 512,
    "ssh": b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n",
    "smtp": b"EHLO mail.test\r\n\r\n",
    "socks": b"\x05\x01\x00\r\n\r\n",
    "h2 without agreement": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9,
    "http/0.9": b"GET /\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: plain.test\n\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
    "length and chunks":
        b"POST / HTTP/1.1\r\nHost: plain.test\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bad chunk": b"POST / HTTP/1.1\r\nHost: plain.test\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n",
}

NOT_TLS = {
    "http": b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "bytes": bytes(range(256)) * 4,
    "zeros": b"\x00" * 1024,
    "a record without end": b"\x16\x03\x01\xff\xff" + b"\x01" * 20000,
    "a hello of nonsense": b"\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03\x03" + b"\xff" * 58,
    "data first": b"\x17\x03\x03\x00\x10" + b"\x55" * 16,
    "ssl 2": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x07" * 37,
}


class Bystander:
    """A client that keeps asking over TLS, on one connection and on new ones, while a test does its worst."""

    def __init__(self, genkan, context):
        self._genkan, self._context = genkan, context
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(kept,)) for kept in (True, False)]
        self.answers, self.failures, self.slowest = 0, [], 0.0

    def _ask(self, is_kept):
        kept = None
        while not self._stop.wait(0.01):
            began = time.monotonic()
            try:
                client = kept or Connection(self._genkan.tls_port, self._context)
                response = client.get("/")
                if response.status != 200:
                    raise ConnectionError(f"status {response.status}")
                # A server may end a kept connection after an answer, if it says so.
                kept = client if is_kept and response.one("connection") != "close" else client.close()
                self.answers += 1
                self.slowest = max(self.slowest, time.monotonic() - began)
            except OSError as error:
                self.failures.append(repr(error))
                kept = None
        if kept:
            kept.close()

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if kind is None:
            assert self.failures == []
            assert self.answers >= 20
            assert self.slowest < 20


@pytest.fixture(scope="module", name="tls")
def _tls(ca):
    return tls_context(ca.root)


@pytest.fixture(scope="module", name="genkan")
def _genkan(ca, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    lineage = Lineage(folder, "a.test", ca.issue("a.test"))
    with Origin() as origin, Genkan(folder, CONFIG.format(lineage=lineage.path, origin=origin.url)) as genkan:
        # The first requests of a process make its pools; what a test adds is counted from here.
        curl(genkan, "a.test", ca=ca.root, check=True)
        yield genkan


@pytest.fixture(autouse=True, name="bystander")
def _bystander(genkan, tls):
    """All tests here: memory and descriptors come back, the process lives, the other client is served."""
    pid, files, memory = genkan.pid, open_files(genkan.pid), genkan.memory_bytes()
    with Bystander(genkan, tls) as bystander:
        eventually(lambda: bystander.answers >= 20, longest=60, what="the bystander's first answers")
        yield bystander
    assert genkan.is_running and genkan.pid == pid
    assert genkan.memory_bytes() - memory < 64 * MIB
    # Connections to the origin may stay for a while, those of the attack may not.
    eventually(lambda: open_files(genkan.pid) <= files + 16, longest=60, what="closed descriptors")


@pytest.mark.parametrize("said", NOT_HTTP.values(), ids=NOT_HTTP.keys())
def test_what_is_not_http_gets_400_or_the_end(genkan, said):
    with Connection(genkan.plain_port, source="127.0.6.1") as client:
        client.send(said)
        answer = client.rest()
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 505 ")), answer[:200]
    if answer:
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("said", NOT_TLS.values(), ids=NOT_TLS.keys())
def test_what_is_not_tls_gets_an_alert_or_the_end(genkan, said):
    began = time.monotonic()
    with Connection(genkan.tls_port, source="127.0.6.2") as client:
        client.send(said)
        answer = client.rest()
    assert answer == b"" or answer[:1] == b"\x15" or answer.startswith(b"HTTP/1.1 400 "), answer[:200]
    assert time.monotonic() - began < 40


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_clear_hello_of_an_old_version_is_refused_by_an_alert(genkan):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="(?i)alert protocol version"):
        Connection(genkan.tls_port, context)


def test_no_common_protocol_is_an_alert(genkan, ca):
    with pytest.raises(ssl.SSLError, match="(?i)no application protocol"):
        Connection(genkan.tls_port, tls_context(ca.root, ("spdy/3",)))


def trickle(connection, began, text, longest):
    """One byte a second until the other side has had enough: the seconds since it began, and what it said."""
    connection.raw.settimeout(1)
    for byte in text:
        try:
            connection.raw.sendall(bytes([byte]))
            answer = connection.raw.recv(65536)
        except TimeoutError:
            if time.monotonic() - began > longest:
                break
            continue
        except ConnectionError:
            answer = b""
        return time.monotonic() - began, answer
    return None, b""


def begin(held, port, source):
    """A connection, and a time before it was there."""
    began = time.monotonic()
    return held.enter_context(Connection(port, source=source)), began


def test_one_byte_a_second_is_over_in_ten(genkan):
    head = b"GET / HTTP/1.1\r\nHost: plain.test\r\nX-Slow: " + b"y" * 60
    hello = b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03" + b"\x5a" * 60
    with contextlib.ExitStack() as held, concurrent.futures.ThreadPoolExecutor(64) as pool:
        slow = {name: [pool.submit(trickle, *begin(held, port, f"127.0.5.{i}"), said, 40) for i in range(1, 31)]
                for name, port, said in (("head", genkan.plain_port, head), ("hello", genkan.tls_port, hello))}
        for name, futures in slow.items():
            for future in futures:
                seconds, answer = future.result()
                assert seconds is not None, f"{name}: still open after 40 s"
                assert 9.9 < seconds < 40, f"{name}: {seconds} s"
                if name == "head":
                    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 "), answer
                else:
                    assert answer == b"" or answer[:1] == b"\x15", answer


def push(connection, data):
    """As much of it as the other side takes, and its answer."""
    try:
        connection.send(data)
    except OSError:
        pass
    return connection.rest()


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("kind, expected", [("field", 431), ("fields", 431), ("line", 414)])
def test_a_head_of_a_mebibyte_is_refused_without_taking_it_in(genkan, tls, is_tls, kind, expected):
    fill = {"field": b"GET / HTTP/1.1\r\nHost: a.test\r\nX: " + b"y" * MIB,
            "fields": b"GET / HTTP/1.1\r\nHost: a.test\r\n" + b"X-Many: yyyyyyyyyyyyyyyyyyyyy\r\n" * (MIB // 31),
            "line": b"GET /" + b"y" * MIB}[kind]
    port, context = (genkan.tls_port, tls) if is_tls else (genkan.plain_port, None)
    before = genkan.memory_bytes()
    with contextlib.ExitStack() as held, concurrent.futures.ThreadPoolExecutor(16) as pool:
        many = [held.enter_context(Connection(port, context, source=f"127.0.4.{i}")) for i in range(1, 65)]
        answers = list(pool.map(lambda client: push(client, fill), many))
        # 64 MiB were offered at once; had they been kept, this would show it.
        assert genkan.memory_bytes() - before < 32 * MIB
    assert all(answer == b"" or answer.startswith(b"HTTP/1.1 %d " % expected) for answer in answers), answers
    # Some get to read it: what we close is closed after the answer (RFC 9112 9.6).
    assert any(answers)


def test_a_head_of_a_mebibyte_over_h2_is_refused(genkan, ca, tmp_path):
    fields = tmp_path / "fields"
    fields.write_text("".join(f"x-{i}: {'y' * 8000}\n" for i in range(128)))
    done = curl(genkan, "a.test", "/", "--http2", "-H", f"@{fields}", "-o", "/dev/null", "-w", "%{http_code}",
                ca=ca.root)
    assert done.stdout in ("431", "000"), done.stdout + done.stderr


def test_a_thousand_connections_of_noise_leave_nothing_behind(genkan):
    def noise(number):
        port = (genkan.plain_port, genkan.tls_port)[number % 2]
        with Connection(port, source=f"127.0.3.{1 + number % 250}") as client:
            with contextlib.suppress(OSError):
                client.send(os.urandom(1 + number % 3000))
                # Half of them go away without waiting for an answer.
                if number % 4 < 2:
                    client.raw.shutdown(1)
                    client.rest()
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(noise, range(1000)))
