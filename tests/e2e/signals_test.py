"""Signals and reloads of a running genkan: drains, stops, new configurations, reopened logs."""

import contextlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.origin import Origin
from support.routed_origin import RoutedOrigin, pattern
from support.wire import Connection, tls_context

SITE = """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{upstream}"
"""
CONFIG = LISTENERS + SITE
# Connections that are kept by a test are not to end by their number of requests.
ENDLESS = "[limits]\nrequests_per_connection = 1000000\n"
SIZE = 4 << 20


class SlowOrigin(RoutedOrigin):
    """/slow: a download that stands still in its middle until the gate opens."""

    def __init__(self):
        super().__init__({"/slow": self.slow})
        self.gate = threading.Event()

    def slow(self, handler, _seen):
        handler.send_response(200)
        handler.send_header("Content-Length", str(SIZE))
        handler.end_headers()
        for number, block in enumerate(pattern(SIZE)):
            if number == 8 and not self.gate.wait(150):
                return
            handler.wfile.write(block)


@pytest.fixture(name="slow")
def _slow():
    with SlowOrigin() as origin:
        yield origin
        origin.gate.set()


@pytest.fixture(scope="module", name="tls")
def _tls(ca):
    return tls_context(ca.root)


@pytest.fixture(name="lineage")
def _lineage(ca, tmp_path):
    return Lineage(tmp_path, "a.test", ca.issue("a.test"))


@contextlib.contextmanager
def download(genkan, ca, flag):
    """curl in the middle of /slow; yields the process, whose stdout has the rest."""
    port = genkan.tls_port
    with subprocess.Popen(["curl", "-sSN", flag, "--noproxy", "*", "--max-time", "150", "--cacert", ca.root,
                           "--resolve", f"a.test:{port}:127.0.0.1", f"https://a.test:{port}/slow"],
                          stdout=subprocess.PIPE) as client:
        try:
            yield client
        finally:
            if client.poll() is None:
                client.kill()


def is_refused(port):
    with socket.socket() as probe:
        probe.settimeout(60)
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_sigterm_lets_a_download_end_and_takes_nobody_new(ca, lineage, slow, tls, tmp_path, flag):
    config = 'drain_timeout = "120s"\n' + CONFIG.format(lineage=lineage.path, upstream=slow.url)
    with Genkan(tmp_path, config) as genkan, Connection(genkan.tls_port, tls) as idle, \
            download(genkan, ca, flag) as client:
        assert idle.get("/").status == 200
        got = client.stdout.read(100000)
        ports = [genkan.plain_port, genkan.tls_port]
        genkan.send_signal(signal.SIGTERM)
        for port in ports:
            eventually(lambda port=port: is_refused(port), what="a refused connection")
        # A connection between two requests has nothing to wait for.
        assert idle.is_closed(within=60)
        assert genkan.is_running
        slow.gate.set()
        got += client.stdout.read()
        assert client.wait(60) == 0
        assert got == b"".join(pattern(SIZE))
        assert genkan.wait() == 0


def test_a_second_sigterm_ends_at_once(ca, lineage, slow, tmp_path):
    config = 'drain_timeout = "120s"\n' + CONFIG.format(lineage=lineage.path, upstream=slow.url)
    with Genkan(tmp_path, config) as genkan, download(genkan, ca, "--http1.1") as client:
        client.stdout.read(100000)
        port = genkan.tls_port
        genkan.send_signal(signal.SIGTERM)
        eventually(lambda: is_refused(port), what="a refused connection")
        assert genkan.is_running
        began = time.monotonic()
        genkan.send_signal(signal.SIGTERM)
        assert genkan.wait(60) >= 0, "ended by the signal itself, not by its own hand"
        assert time.monotonic() - began < 30, "a drain would take two minutes"
        client.stdout.read()
        assert client.wait(60) in (18, 56), "curl saw a cut body"


def test_a_drain_ends_at_its_time(ca, lineage, slow, tmp_path):
    config = 'drain_timeout = "1s"\n' + CONFIG.format(lineage=lineage.path, upstream=slow.url)
    with Genkan(tmp_path, config) as genkan, download(genkan, ca, "--http1.1") as client:
        client.stdout.read(100000)
        began = time.monotonic()
        genkan.send_signal(signal.SIGTERM)
        assert genkan.wait(60) == 0
        assert 0.9 < time.monotonic() - began < 20, "the default is half a minute"


def test_stop_over_the_admin_socket_drains(lineage, tmp_path, slow):
    with Genkan(tmp_path, CONFIG.format(lineage=lineage.path, upstream=slow.url)) as genkan:
        done = genkan.command("stop")
        assert done.returncode == 0, done.stderr
        assert genkan.wait() == 0


class Asking:
    """Connections that are kept and ask all the time; notes which origin answered, and every failure."""

    def __init__(self, genkan, tls, clients=4):
        self.bodies, self.failures = set(), []
        self.last = [None] * clients
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(genkan.tls_port, tls, number))
                         for number in range(clients)]

    def _ask(self, port, tls, number):
        try:
            with Connection(port, tls) as client:
                while not self._stop.is_set():
                    response = client.get("/which")
                    if response.status != 200 or response.one("connection") == "close":
                        self.failures.append(f"{response.status} {response.headers}")
                    self.bodies.add(response.body)
                    self.last[number] = response.body
                    time.sleep(0.01)
        except OSError as error:
            self.failures.append(repr(error))

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()


def named(name):
    return Origin(lambda handler: handler.answer(200, name))


@pytest.mark.parametrize("how", ["SIGHUP", "genkan reload"])
def test_a_reload_takes_a_changed_upstream_without_ending_a_connection(ca, lineage, tls, tmp_path, how):
    with named(b"first") as first, named(b"second") as second, \
            Genkan(tmp_path, ENDLESS + CONFIG.format(lineage=lineage.path, upstream=first.url)) as genkan:
        ports = (genkan.plain_port, genkan.tls_port)
        with Asking(genkan, tls) as asking:
            eventually(lambda: asking.last == [b"first"] * 4, what="an answer of the first origin for each")
            genkan.write_config(ENDLESS + CONFIG.format(lineage=lineage.path, upstream=second.url))
            if how == "SIGHUP":
                genkan.send_signal(signal.SIGHUP)
            else:
                done = genkan.reload()
                assert done.returncode == 0, done.stderr
            eventually(lambda: asking.last == [b"second"] * 4, what="an answer of the second origin for each")
            asked, answered = len(first.requests), len(second.requests)
            eventually(lambda: len(second.requests) > answered + 50, what="50 answers more of the second origin")
        assert asking.failures == []
        assert asking.bodies == {b"first", b"second"}
        assert len(first.requests) == asked, "all connections moved"
        status = genkan.status()
        assert tuple(int(one["address"].rsplit(":", 1)[1]) for one in status["listeners"]) == ports


@pytest.mark.parametrize("how", ["SIGHUP", "genkan reload"])
def test_a_broken_configuration_is_refused_with_all_its_errors(ca, lineage, tls, tmp_path, how):
    good = ENDLESS + CONFIG.format(lineage=lineage.path, upstream="{upstream}")
    with named(b"first") as first, Genkan(tmp_path, good.format(upstream=first.url)) as genkan, \
            Asking(genkan, tls) as asking:
        genkan.write_config(good.format(upstream=first.url).replace("upstream ", "upstrem ")
                            .replace(ENDLESS, ENDLESS + 'header_timeout = "soon"\n'))
        where = str(genkan.config_path)
        if how == "SIGHUP":
            genkan.send_signal(signal.SIGHUP)
            eventually(lambda: genkan.log().count("reload_failed") >= 2, what="both errors in the log, a line each")
            said = genkan.log()
        else:
            done = genkan.reload()
            assert done.returncode in (1, 2)
            said = done.stderr + done.stdout
        assert 'unknown key "upstrem"' in said
        assert "header_timeout" in said
        assert said.count(where + ":") >= 2, said
        assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "first"
        # And the next good one is taken again.
        genkan.write_config(good.format(upstream=first.url))
        assert genkan.reload().returncode == 0
    assert asking.failures == []


def test_a_listener_that_a_reload_adds_is_served_and_one_that_it_removes_is_not(ca, lineage, tmp_path, origin):
    site = SITE.format(lineage=lineage.path, upstream=origin.url)
    more = '[[listener]]\naddress = "127.0.0.2:0"\ntls = true\n'
    with Genkan(tmp_path, LISTENERS + site) as genkan:
        before = genkan.status()["listeners"]
        genkan.write_config(LISTENERS + more + site)
        assert genkan.reload().returncode == 0
        added = [one for one in genkan.status()["listeners"] if one not in before]
        assert len(added) == 1 and added[0]["tls"]
        port = int(added[0]["address"].rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.2", port), 60):
            pass
        genkan.write_config(LISTENERS + site)
        assert genkan.reload().returncode == 0
        assert genkan.status()["listeners"] == before

        def is_gone():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.2", port)) != 0
        eventually(is_gone, what="a refused connection")
        curl(genkan, "a.test", ca=ca.root, check=True)


def test_sigusr1_reopens_the_access_log(ca, lineage, tmp_path, origin):
    with Genkan(tmp_path, CONFIG.format(lineage=lineage.path, upstream=origin.url)) as genkan:
        curl(genkan, "a.test", "/one", ca=ca.root, check=True)
        eventually(lambda: "/one" in genkan.access_log(), what="the first line")
        old = genkan.access_log_path.with_suffix(".1")
        genkan.access_log_path.rename(old)
        curl(genkan, "a.test", "/two", ca=ca.root, check=True)
        eventually(lambda: "/two" in old.read_text(), what="the second line, in the moved file")
        genkan.send_signal(signal.SIGUSR1)
        # It is there a moment before it is written to.
        genkan.logs("logs_reopened")
        curl(genkan, "a.test", "/three", ca=ca.root, check=True)
        eventually(lambda: "/three" in genkan.access_log(), what="the third line, in the new file")
        assert "/three" not in old.read_text()
