"""A real browser that trusts the test's root loads a page over h2: subresources, fetch, events, WebSocket.

And what it saw of the staple, by its own log of the network (NetLog).
"""

import contextlib
import json
import os
import re
import ssl
import subprocess

import pytest

from support.ca import Lineage, OcspResponder
from support.clients import s_client
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan
from support.routed_origin import RoutedOrigin

PAGE = b"""<!doctype html>
<html><head><meta charset="utf-8"><title>genkan</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="/style.css"></head><body><h1>hello</h1>
<script src="/script.js"></script></body></html>
"""
STYLE = b"h1 { color: rgb(1, 2, 3); }\n"
SCRIPT = b"""
console.log("the page runs");
const upload = "0123456789".repeat(200000);
const post = () => fetch("/echo", {method: "POST", body: upload}).then(answer => answer.json())
  .then(seen => seen.size);
const first_event = () => new Promise((done, failed) => {
  const source = new EventSource("/events");
  source.onmessage = event => { source.close(); done(event.data); };
  source.onerror = () => failed("event source");
});
const echo = () => new Promise((done, failed) => {
  const socket = new WebSocket("wss://" + location.host + "/ws");
  socket.onopen = () => socket.send("konnichiwa");
  socket.onmessage = message => { done(message.data); socket.close(); };
  socket.onerror = () => failed("web socket");
});
addEventListener("load", async () => {
  const told = {};
  try {
    told.protocol = performance.getEntriesByType("navigation")[0].nextHopProtocol;
    told.subresources = performance.getEntriesByType("resource").map(entry => entry.nextHopProtocol);
    told.color = getComputedStyle(document.querySelector("h1")).color;
    told.secure = isSecureContext;
    told.uploaded = await post();
    told.event = await first_event();
    told.echo = await echo();
  } catch (error) {
    told.error = String(error);
  }
  await fetch("/report", {method: "POST", headers: {"X-Report": JSON.stringify(told)}});
  console.log("the page is done");
});
"""

CONFIG = LISTENERS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"
modules      = ["security_headers"]
"""


def page(body, kind):
    return lambda handler, _seen: handler.reply(200, body, [("Content-Type", kind)])


def events(handler, _seen):
    handler.start_chunked([("Content-Type", "text/event-stream")])
    handler.chunk(b"data: ping\n\n")
    handler.end_chunked()


@pytest.fixture(name="home")
def _home(ca, tmp_path):
    """A HOME whose certificate store has the test's root, and nothing else."""
    home = tmp_path / "home"
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    run(["certutil", "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
    run(["certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "root", "-i", ca.root], check=True)
    return home


class Browser:
    """Chromium without a window, on one address, until the end of the block. What it says is in text()."""

    # Without one of its own choice it stays; with --dump-dom it ends once the page is there.
    def __init__(self, home, url, host, port, how=("--remote-debugging-port=0",)):
        self.home, self.url, self.map = home, url, f"MAP {host} 127.0.0.1:{port}"
        self.how = how
        self.log = home / "chromium.log"

    def __enter__(self):
        argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--disable-extensions", "--disable-default-apps", "--disable-dev-shm-usage", "--no-proxy-server",
                f"--user-data-dir={self.home}/profile", f"--host-resolver-rules={self.map}",
                "--enable-logging=stderr", *self.how, self.url]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, cwd=self.home,
                                            env={"PATH": os.environ["PATH"], "HOME": str(self.home)})
        return self

    def __exit__(self, *_):
        # Its children are in the session that was made for it; a browser has several.
        # One that has ended by itself may have left some of them, or none.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 15)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait(30)

    def text(self):
        return self.log.read_text(errors="replace")

    def console(self):
        """The page's console. The browser's complaints about the page are in it, at the same level as the page's own
        words, so a test has to name all the lines that it expects."""
        return re.findall(r':CONSOLE[^"]*"(.*)", source:', self.text())


def test_a_browser_loads_a_page_over_h2_without_a_complaint(ca, home, tmp_path):
    routes = {"/": page(PAGE, "text/html"), "/style.css": page(STYLE, "text/css"),
              "/script.js": page(SCRIPT, "text/javascript"), "/events": events, "/report": page(b"", "text/plain")}
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with RoutedOrigin(routes) as origin, \
            Genkan(tmp_path, CONFIG.format(lineage=lineage.path, origin=origin.url)) as genkan:
        # The port 443 of the name goes to the listener, so that the page's address is an ordinary one.
        with Browser(home, "https://a.test/", "a.test", genkan.tls_port) as browser:
            def report():
                assert browser.process.poll() is None, browser.text()
                return [seen for seen in list(origin.requests) if seen.target == "/report"]
            try:
                told = json.loads(eventually(report, longest=150, what="the page's report")[0].one("x-report"))
                eventually(lambda: "the page is done" in browser.console(), what="the end of the page's script")
            except AssertionError as error:
                raise AssertionError(f"{error}\n{browser.text()}") from None
            console = browser.console()
    assert told == {"protocol": "h2", "subresources": ["h2", "h2"], "color": "rgb(1, 2, 3)", "secure": True,
                    "uploaded": 2000000, "event": "ping", "echo": "konnichiwa"}
    assert console == ["the page runs", "the page is done"]
    page_request = next(seen for seen in origin.requests if seen.target == "/")
    assert page_request.one("x-forwarded-proto") == "https"
    assert page_request.one("host") == "a.test"


def test_a_browser_without_the_root_refuses_the_page(ca, home, tmp_path):
    """So the test above does show that the certificate was verified."""
    run(["certutil", "-d", f"sql:{home}/.pki/nssdb", "-D", "-n", "root"], check=True)
    routes = {"/": page(PAGE, "text/html")}
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with RoutedOrigin(routes) as origin, \
            Genkan(tmp_path, CONFIG.format(lineage=lineage.path, origin=origin.url)) as genkan:
        with Browser(home, "https://a.test/", "a.test", genkan.tls_port) as browser:
            eventually(lambda: "net_error -202" in browser.text(), longest=150, what="ERR_CERT_AUTHORITY_INVALID")
        assert origin.requests == []


class NetLog:
    """What a browser that has ended wrote of its network."""

    def __init__(self, path):
        log = json.loads(path.read_text())
        self._types = log["constants"]["logEventTypes"]
        self._events = log["events"]

    def events(self, kind):
        return [event for event in self._events if event["type"] == self._types[kind]]

    def verifications(self, host):
        """Of the certificate of this host: what the verifier was given, and what it found."""
        jobs = {}
        for event in self.events("CERT_VERIFIER_JOB"):
            jobs.setdefault(event["source"]["id"], {}).update(event.get("params", {}))
        return [job for job in jobs.values() if job.get("host") == host]


def staple_of(job):
    """The DER that was stapled; None where nothing was."""
    if "stapled_ocsp_response" not in job:
        return None
    body = re.fullmatch(r"-----BEGIN NETLOG OCSP RESPONSE-----\n(.*)-----END NETLOG OCSP RESPONSE-----\s*",
                        job["stapled_ocsp_response"], re.S).group(1)
    return ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")


def visit(home, host, genkan):
    """One page until it is there, and the verifications of its certificate."""
    path = home / f"{host}.netlog"
    how = ("--dump-dom", f"--log-net-log={path}", "--net-log-capture-mode=Everything")
    with Browser(home, f"https://{host}/", host, genkan.tls_port, how) as browser:
        try:
            assert browser.process.wait(150) == 0, browser.text()
        except subprocess.TimeoutExpired:
            raise AssertionError(browser.text()) from None
    assert "<h1>hello</h1>" in browser.text(), browser.text()
    return NetLog(path).verifications(host)


def test_a_browsers_verifier_is_given_the_staple_that_the_responder_signed(ca, home, tmp_path):
    routes = {"/": page(b"<!doctype html><h1>hello</h1>", "text/html")}
    with OcspResponder(ca) as responder, RoutedOrigin(routes) as origin:
        lineages = {"a.test": Lineage(tmp_path, "a.test", ca.issue("a.test", ocsp_url=responder.url)),
                    "b.test": Lineage(tmp_path, "b.test", ca.issue("b.test"))}
        config = LISTENERS + "".join(
            f'[[site]]\nnames = ["{host}"]\ncertificates = ["{lineage.path}"]\nupstream = "{origin.url}"\n'
            for host, lineage in lineages.items())
        with Genkan(tmp_path, f'[certificates]\ntrust_store = "{ca.root}"\n{config}') as genkan:
            eventually(lambda: genkan.certificate(site="a.test")["staple"].startswith("good"), longest=60,
                       what="the staple")
            jobs = visit(home, "a.test", genkan)
            assert jobs
            for job in jobs:
                assert job["cert_status"] == 0, job
                assert staple_of(job) in responder.answers, job
            # The one that another client gets, too.
            told = tmp_path / "told.der"
            told.write_bytes(staple_of(jobs[0]))
            text = run(["openssl", "ocsp", "-respin", told, "-noverify", "-resp_text"], check=True).stdout
            said = s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
            assert "Cert Status: good" in said
            for line in ("Cert Status", "Serial Number", "This Update", "Next Update", "Produced At"):
                found = re.search(rf"{line}: .*", text).group(0)
                assert found in said, (found, said)

            # Where the certificate names no responder there is none, so the above is no accident.
            plain = visit(home, "b.test", genkan)
            assert plain
            for job in plain:
                assert job["cert_status"] == 0 and staple_of(job) is None, job
