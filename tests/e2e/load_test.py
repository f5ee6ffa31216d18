"""Many clients: thousands of connections from many addresses at once; one address alone is cut at its limit."""

import socket

import pytest

from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.load import Load, hold
from support.quick_origin import QuickOrigin


@pytest.fixture
def quick():
    with QuickOrigin() as server:
        yield server


@pytest.fixture
def genkan(ca, quick, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    # What is counted here is connections: on a slow machine thousands of handshakes outlast the limits of one.
    with Genkan(tmp_path, LISTENERS + f"""
[limits]
handshake_timeout = "300s"
header_timeout    = "300s"
idle_timeout      = "300s"
[certificates]
trust_store = "{ca.root}"
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
redirect_to_https = false
upstream = "{quick.url}"
""") as running:
        yield running


def test_2000_connections_from_64_addresses_are_held_and_answered(ca, genkan):
    said = hold(genkan.tls_port, "a.test", 2000, sources=64, ca=ca.root)
    assert said == {"held": 2000, "answered": 2000, "errors": {}}


def test_plain_connections_too(genkan):
    said = hold(genkan.plain_port, "a.test", 4000, sources=64, plain=True)
    assert said == {"held": 4000, "answered": 4000, "errors": {}}


def test_one_address_alone_is_cut_at_256(ca, genkan):
    said = hold(genkan.tls_port, "a.test", 300, sources=1, ca=ca.root)
    assert said["held"] == said["answered"] == 256, said
    assert sum(said["errors"].values()) == 44, said
    assert curl(genkan, "a.test", ca=ca.root).stdout == QuickOrigin.BODY


def test_silent_connections_of_one_address_are_cut_at_32(ca, genkan):
    """Before the handshake is done an address has 32; the others go on."""
    silent = []
    try:
        for _ in range(40):
            one = socket.create_connection(("127.0.0.1", genkan.tls_port), 60, source_address=("127.0.9.9", 0))
            one.setblocking(False)
            silent.append(one)

        def open_ones():
            count = 0
            for one in silent:
                try:
                    one.recv(1)
                except BlockingIOError:
                    count += 1
                except ConnectionError:
                    pass
            return count

        eventually(lambda: open_ones() == 32, what="8 of 40 are closed")
        assert curl(genkan, "a.test", ca=ca.root).stdout == QuickOrigin.BODY
    finally:
        for one in silent:
            one.close()


def test_a_load_over_keep_alive_limits_fails_nothing(ca, genkan):
    """More than 1000 requests on a connection, so that each is ended politely by the server meanwhile."""
    with Load(genkan.tls_port, "a.test", ca.root, expect=QuickOrigin.BODY, keep=4, keep_rate=1000, new=2,
              new_rate=50) as load:
        eventually(lambda: genkan.status()["traffic"]["responses"]["2xx"] >= 6000, longest=60, every=0.5,
                   what="6000 requests")
        report = load.stop()
    assert report.failures == [], report.summary()
    assert report.connections > 6, report.summary()
