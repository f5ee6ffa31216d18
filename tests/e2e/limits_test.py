"""Limits that protect everybody from one: connections of an address, requests of a connection, sizes of a request."""

import contextlib
import select

import pytest

from support.ca import Lineage
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.wire import Connection, tls_context

ADDRESSES = [f"127.0.7.{i}" for i in range(1, 65)]

CONFIG = """
trusted_proxies = ["127.0.9.0/24"]
""" + LISTENERS + """
[[listener]]
address = "127.0.0.1:0"
[listener.limits]
connections_per_address = 8

# What is counted here is connections: on a slow machine hundreds of them outlast the limits of one.
[limits]
handshake_timeout = "300s"
header_timeout    = "300s"
idle_timeout      = "300s"

[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"
max_body     = "1KiB"

[[site]]
names             = ["plain.test"]
upstream          = "{origin}"
redirect_to_https = false
"""


@pytest.fixture(scope="module", name="tls")
def _tls(ca):
    return tls_context(ca.root)


@pytest.fixture(name="genkan")
def _genkan(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with Genkan(tmp_path, CONFIG.format(lineage=lineage.path, origin=origin.url)) as genkan:
        yield genkan


def is_served(connection, host):
    """Whether a connection that is held still gets its answers."""
    try:
        return connection.get("/", host=host).status == 200
    except OSError:
        return False


def test_eight_tls_connections_of_each_of_64_addresses_are_held_at_the_same_time(genkan, tls):
    with contextlib.ExitStack() as held:
        connections = [held.enter_context(Connection(genkan.tls_port, tls, source=source))
                       for source in ADDRESSES for _ in range(8)]
        assert len(connections) == 64 * 8
        # All are open now; all are answered, the first as well as the last.
        assert [is_served(connection, "a.test") for connection in connections].count(True) == 64 * 8


def test_one_address_is_cut_at_its_limit_and_the_others_are_not(genkan):
    with contextlib.ExitStack() as held:
        many = [held.enter_context(Connection(genkan.plain_port, source="127.0.8.1")) for _ in range(300)]
        assert [is_served(connection, "plain.test") for connection in many].count(True) == 256
        for source in ADDRESSES:
            with Connection(genkan.plain_port, source=source) as other:
                assert is_served(other, "plain.test")


def test_a_connection_that_ends_makes_room_for_the_next(genkan):
    limited = genkan.plain_ports[1]
    with contextlib.ExitStack() as held:
        many = [held.enter_context(Connection(limited)) for _ in range(10)]
        served = [connection for connection in many if is_served(connection, "plain.test")]
        assert len(served) == 8, "[listener.limits] says 8"
        served[0].close()

        def gets_in():
            with Connection(limited) as late:
                return is_served(late, "plain.test")
        eventually(gets_in, what="a free place")
        assert all(is_served(connection, "plain.test") for connection in served[1:])


def test_a_silent_address_is_cut_at_its_handshakes_and_the_rest_can_go_on(genkan, tls):
    with contextlib.ExitStack() as held:
        silent = [held.enter_context(Connection(genkan.tls_port, source="127.0.8.2")) for _ in range(40)]
        # The surplus is closed, 32 may still say hello: nothing was said to them, so what can be read is an end.
        poll = select.poll()
        for connection in silent:
            poll.register(connection.raw, select.POLLIN)
        eventually(lambda: len(poll.poll(0)) >= 8, what="eight closed connections")
        with Connection(genkan.tls_port, tls) as other:
            assert is_served(other, "a.test")
        assert len(poll.poll(0)) == 8


def test_trusted_proxies_are_exempt(genkan):
    with contextlib.ExitStack() as held:
        many = [held.enter_context(Connection(genkan.plain_port, source="127.0.9.1")) for _ in range(300)]
        assert [is_served(connection, "plain.test") for connection in many].count(True) == 300


def test_a_connection_ends_politely_after_a_thousand_requests(genkan):
    with Connection(genkan.plain_port) as client:
        for _ in range(999):
            assert client.get("/", host="plain.test").one("connection") != "close"
        last = client.get("/", host="plain.test")
        assert (last.status, last.one("connection")) == (200, "close")
        assert client.is_closed(within=60)


@pytest.mark.parametrize("head, status", [
    ("GET /" + "a" * 8000 + " HTTP/1.1\r\nHost: plain.test\r\n", 200),
    ("GET /" + "a" * 70000 + " HTTP/1.1\r\nHost: plain.test\r\n", 414),
    ("GET / HTTP/1.1\r\nHost: plain.test\r\n" + "".join(f"X-{i}: y\r\n" for i in range(90)), 200),
    ("GET / HTTP/1.1\r\nHost: plain.test\r\n" + "".join(f"X-{i}: y\r\n" for i in range(10000)), 431),
    ("GET / HTTP/1.1\r\nHost: plain.test\r\nX: " + "y" * 16000 + "\r\n", 200),
    ("GET / HTTP/1.1\r\nHost: plain.test\r\nX: " + "y" * 100000 + "\r\n", 431)],
    ids=["line", "long line", "fields", "many fields", "field", "long field"])
def test_a_head_is_answered_by_its_size(genkan, head, status):
    with Connection(genkan.plain_port) as client:
        try:
            client.send(head + "\r\n")
        except ConnectionError:
            pass  # it may stop listening before everything is said
        response = client.response()
        assert response.status == status
        if status != 200:
            assert response.one("connection") == "close"
            assert client.is_closed(within=60)


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_over_the_sites_limit_is_refused(genkan, origin, tls, framing):
    with Connection(genkan.tls_port, tls) as client:
        if framing == "length":
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1025\r\n\r\n")
        else:
            client.send("POST / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
                        "800\r\n" + "x" * 2048 + "\r\n")
        assert client.response().status == 413
    assert not [request for request in origin.requests if request["method"] == "POST"]
