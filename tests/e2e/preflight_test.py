"""genkan preflight names the stop at which a certificate authority fails, on real sockets, and leaves nothing behind."""

import json
import signal
import socket
import subprocess
import threading

import pytest

from support.apache import Apache
from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan, binary, genkan_command
from support.origin import Origin
from support.ports import reserve_port

CONFIG = LISTENERS + """
[acme_challenge]
{challenge}

[module.shut]
use  = "url_filter"
deny = ["/*"]

[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"
modules      = ["shut"]

[[site]]
names             = ["plain.test"]
upstream          = "{origin}"
redirect_to_https = false
{more}
"""


@pytest.fixture(scope="module", name="lineage")
def _lineage(ca, tmp_path_factory):
    return Lineage(tmp_path_factory.mktemp("lineage"), "a.test", ca.issue("a.test")).path


@pytest.fixture(name="start")
def _start(lineage, origin, tmp_path):
    """start(challenge keys, more of plain.test's) -> a running Genkan, stopped at the end."""
    running = []

    def start(challenge="", more="", upstream=None):
        (tmp_path / "webroot").mkdir(exist_ok=True)
        challenge = challenge.format(webroot=tmp_path / "webroot")
        text = CONFIG.format(challenge=challenge, lineage=lineage, origin=upstream or origin.url, more=more)
        running.append(Genkan(tmp_path, text).__enter__())
        return running[-1]

    yield start
    for genkan in running:
        genkan.__exit__(None, None, None)


WEBROOT = 'webroot = ["{webroot}"]'


def preflight(host, *args, http=None, https=None, longest=120):
    """(exit code, the JSON)."""
    ports = ["--http-port", str(http)] if http else []
    ports += ["--https-port", str(https)] if https else []
    done = genkan_command("preflight", host, "--connect-to", "127.0.0.1", "--json", *ports, *args, longest=longest)
    assert done.stdout.startswith("{"), f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.returncode, json.loads(done.stdout)


def against(genkan, host, *args):
    return preflight(host, "-c", genkan.config_path, *args, http=genkan.plain_port, https=genkan.tls_port)


def test_all_is_fine_by_the_webroot_though_all_is_shut(start, tmp_path, ca):
    genkan = start(WEBROOT)
    code, report = against(genkan, "a.test")
    assert (code, report["stop"], report["good"]) == (0, "OK", True), report
    assert report["placed"] == {"how": "webroot", "where": f"{tmp_path}/webroot/.well-known/acme-challenge"}
    (hop,) = report["walks"][0]["hops"]
    assert hop["status"] == 200 and hop["answered_by"] == f"acme_challenge:webroot:{tmp_path}/webroot"
    assert list((tmp_path / "webroot").iterdir()) == [], "nothing is left behind"
    assert curl(genkan, "a.test", "/", "-o", "/dev/null", "-w", "%{http_code}", ca=ca.root).stdout == "403"


def test_the_running_proxy_holds_the_token_where_there_is_no_webroot(start):
    genkan = start()
    code, report = against(genkan, "a.test")
    assert (code, report["stop"], report["placed"]["how"]) == (0, "OK", "proxy"), report
    assert report["walks"][0]["hops"][0]["answered_by"] == "acme_challenge:own"
    path = f"/.well-known/acme-challenge/{report['token']}"
    assert curl(genkan, "a.test", path, "-o", "/dev/null", "-w", "%{http_code}", tls=False).stdout == "404", \
        "and lets it go"


def test_the_thumbprint_answers(start):
    genkan = start(f'thumbprint = "{"t" * 43}"')
    code, report = against(genkan, "a.test")
    assert (code, report["stop"], report["placed"]["how"]) == (0, "OK", "thumbprint"), report


def test_a_name_that_does_not_resolve(start):
    genkan = start(WEBROOT)
    done = genkan_command("preflight", "no-such-name.invalid", "-c", genkan.config_path)
    assert done.returncode == 1
    assert "NAME_NOT_RESOLVED" in done.stdout and "does not resolve" in done.stdout, done.stdout


def test_a_closed_port(start):
    genkan = start(WEBROOT)
    code, report = preflight("a.test", "-c", genkan.config_path, http=reserve_port())
    assert (code, report["stop"]) == (1, "PORT_CLOSED") and "closed" in report["text"], report


def test_a_server_that_says_nothing_or_nonsense(start):
    genkan = start(WEBROOT)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        code, report = preflight("a.test", "-c", genkan.config_path, "--timeout", "1", http=mute.getsockname()[1])
        assert (code, report["stop"]) == (1, "ANSWER_TIMEOUT"), report

    with socket.create_server(("127.0.0.1", 0)) as server:
        def babble():
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(b"220 mail.test ESMTP\r\n")

        thread = threading.Thread(target=babble)
        thread.start()
        code, report = preflight("a.test", "-c", genkan.config_path, http=server.getsockname()[1])
        thread.join()
        assert (code, report["stop"]) == (1, "NOT_HTTP"), report


def test_a_redirect_loop(start):
    def respond(handler):
        handler.answer(302, headers=[("Location", "http://plain.test" + handler.path)])

    with Origin(respond) as upstream:
        genkan = start('mode = "off"', upstream=upstream.url)
        code, report = against(genkan, "plain.test")
        assert (code, report["stop"]) == (1, "REDIRECT_LOOP"), report
        assert "back at http://plain.test/" in report["text"]


def test_too_many_and_impossible_redirects(start):
    def respond(handler):
        if handler.headers["Host"].startswith("a.test"):
            return handler.answer(302, headers=[("Location", "http://plain.test:8081/")])
        return handler.answer(302, headers=[("Location", "http://plain.test/" + "x" * len(handler.path))])

    with Origin(respond) as upstream:
        genkan = start('mode = "off"', upstream=upstream.url)
        assert against(genkan, "plain.test")[1]["stop"] == "TOO_MANY_REDIRECTS"
    with Origin(lambda handler: handler.answer(302, headers=[("Location", "http://x.test:8081/")])) as other:
        assert preflight("x.test", "-c", genkan.config_path, http=other.port)[1]["stop"] == "BAD_REDIRECT"


def test_a_filter_of_ours_denies(start):
    genkan = start('mode = "off"\n' + WEBROOT)
    code, report = against(genkan, "a.test")
    # The plain listener redirects, the site's filter over TLS denies.
    assert (code, report["stop"]) == (1, "DENIED_BY_FILTER"), report
    assert "403 by url_filter ([module.shut])" in report["text"], report
    hops = report["walks"][0]["hops"]
    assert [hop["answered_by"] for hop in hops] == ["redirect_to_https", "url_filter"]
    done = genkan_command("preflight", "a.test", "-c", genkan.config_path, "--connect-to", "127.0.0.1", "--http-port",
                          str(genkan.plain_port), "--https-port", str(genkan.tls_port))
    assert done.returncode == 1 and "403 by url_filter ([module.shut])" in done.stdout, done.stdout


def test_a_filter_behind_a_redirect_is_named_too(start):
    def respond(handler):
        handler.answer(302, headers=[("Location", "https://a.test/login")])

    with Origin(respond) as upstream:
        genkan = start('mode = "off"', upstream=upstream.url)
        code, report = against(genkan, "plain.test")
        assert (code, report["stop"]) == (1, "DENIED_BY_FILTER"), report
        assert report["walks"][0]["hops"][1]["url"] == "https://a.test/login"


def test_a_docroot_that_is_another_is_named(start, tmp_path):
    genkan = start(WEBROOT)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code, report = against(genkan, "a.test", "--webroot", str(elsewhere))
    assert (code, report["stop"]) == (1, "NOT_FOUND"), report
    assert f"404 by genkan: searched were {tmp_path}/webroot" in report["text"], report
    assert list(elsewhere.iterdir()) == []


def test_the_docroot_of_the_upstream_is_named(start):
    with Origin(lambda handler: handler.answer(404, b"none")) as upstream:
        genkan = start('mode = "off"', upstream=upstream.url)
        code, report = against(genkan, "plain.test")
        assert (code, report["stop"]) == (1, "NOT_FOUND_AT_UPSTREAM"), report
        assert f"127.0.0.1:{upstream.port}" in report["text"]


def test_another_server_answers(start):
    genkan = start(WEBROOT)
    with Apache({"index.html": "welcome"}) as apache:
        code, report = preflight("a.test", "-c", genkan.config_path, http=apache.port)
        assert (code, report["stop"]) == (1, "ANOTHER_SERVER") and "Apache" in report["text"], report
        # Without a genkan that can be asked: that server's docroot.
        nowhere = ["--socket", "/nonexistent/socket"]
        code, report = preflight("a.test", *nowhere, "--webroot", str(apache.folder), http=apache.port)
        assert (code, report["stop"]) == (1, "NOT_FOUND") and str(apache.folder) in report["text"], report
        code, report = preflight("a.test", *nowhere, "--webroot", str(apache.folder / "www"), http=apache.port)
        assert (code, report["stop"]) == (0, "OK"), report


def test_another_server_that_has_a_page_for_every_path(start):
    genkan = start(WEBROOT)
    with Origin() as other:
        code, report = preflight("a.test", "-c", genkan.config_path, http=other.port)
        assert (code, report["stop"]) == (1, "ANOTHER_SERVER"), report


def test_a_signal_leaves_nothing_behind(start, tmp_path):
    genkan = start(WEBROOT)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = subprocess.Popen(
                [binary(), "preflight", "a.test", "-c", genkan.config_path, "--connect-to", "127.0.0.1", "--http-port",
                 str(mute.getsockname()[1]), "--timeout", "120"], stdout=subprocess.DEVNULL)
            peer, _ = mute.accept()
            token = peer.recv(4096).split(b" ")[1].decode().rsplit("/", 1)[1]
            assert (tmp_path / "webroot/.well-known/acme-challenge" / token).exists()
            process.send_signal(number)
            assert process.wait(60) == 128 + number
            peer.close()
            assert list((tmp_path / "webroot").iterdir()) == []


def test_a_webroot_that_cannot_be_written_and_a_wrong_name(start, tmp_path):
    genkan = start(WEBROOT)
    done = genkan_command("preflight", "a.test", "-c", genkan.config_path, "--webroot", tmp_path / "none")
    assert done.returncode == 2 and "No such file or directory" in done.stderr
    assert genkan_command("preflight", "http://a.test/", "-c", genkan.config_path).returncode == 64
    assert genkan_command("preflight").returncode == 64


def test_what_the_admin_tells_of_tokens(start, tmp_path):
    genkan = start(WEBROOT)
    tokens = tmp_path / "webroot/.well-known/acme-challenge"
    tokens.mkdir(parents=True)
    (tokens / "seen").write_text("seen." + "s" * 43)
    assert curl(genkan, "a.test", "/.well-known/acme-challenge/seen", tls=False).stdout == "seen." + "s" * 43
    curl(genkan, "a.test", "/.well-known/acme-challenge/unseen", tls=False)

    def told():
        done = subprocess.run(["curl", "-sS", "--unix-socket", genkan.socket, "http://localhost/challenges.json"],
                              stdout=subprocess.PIPE, timeout=60, check=True)
        return [(one["token"], one["hits"][0]["host"].split(":")[0], one["hits"][0]["client"]) for one in
                json.loads(done.stdout)["tokens"]]

    eventually(lambda: told() == [("seen", "a.test", "127.0.0.1")], what="hosts, addresses, what answered")
