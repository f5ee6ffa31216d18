"""Every ACME client of Debian's gets its certificate through genkan while every filter there is denies everything.

Each asks for one certificate with five names; their sites' upstreams answer 403, 404, 500, never, or are not there.
"""

import concurrent.futures
import json
import re
import threading

import pytest

from support.acme_clients import AcmeTiny, Dehydrated, Lego, Uacme
from support.ca import Lineage
from support.clients import curl_status
from support.eventually import eventually, run
from support.genkan import PLAIN, TLS, Genkan
from support.origin import Origin
from support.pebble import Certbot, Pebble
from support.ports import reserve_port

NAMES = ("forbidden.test", "missing.test", "broken.test", "hanging.test", "gone.test")
STATUS = {"forbidden.test": 403, "missing.test": 404, "broken.test": 500}

FILTERS = """
[module.shut]
use           = "url_filter"
deny          = ["/*"]
deny_dotfiles = true
[module.passwords]
use   = "basic_auth"
users = ["nobody:{hash}"]
[module.blocked]
use  = "ip_filter"
deny = ["0.0.0.0/0", "::/0"]
[module.none_left]
use  = "rate_limit"
rate = "0"
[module.away]
use = "redirect_https"
"""

# Each site has all filters, and another one of them first: what its other paths get over TLS.
MODULES = ["away", "shut", "passwords", "blocked", "none_left"]
FIRST = {"forbidden.test": ("shut", 403), "missing.test": ("passwords", 401), "broken.test": ("blocked", 403),
         "hanging.test": ("none_left", 429), "gone.test": ("away", 403)}


class Setting:
    """genkan with everything shut, Pebble that asks at its plain port, and what all sites' upstreams were asked."""

    def __init__(self, folder, ca, standalone):
        self.webroot = folder / "webroot"
        self.webroot.mkdir()
        self.origin = Origin(self._respond)
        self.release = threading.Event()
        gone = reserve_port()
        self.lineage = Lineage(folder, "fallback", ca.issue(*NAMES))
        self.standalone = standalone
        sites = "".join(f"""
[[site]]
names        = ["{name}"]
certificates = ["{self.lineage.path}"]
upstream     = "{f"http://127.0.0.1:{gone}" if name == "gone.test" else self.origin.url}"
modules      = {json.dumps(sorted(MODULES, key=lambda module, name=name: module != FIRST[name][0]))}
""" for name in NAMES)
        filters = FILTERS.replace("{hash}", run(["openssl", "passwd", "-6", "secret"], check=True).stdout.strip())
        # All addresses are kept out of the plain listener altogether.
        self.config = PLAIN + 'modules = ["blocked"]\n' + TLS + f"""
[acme_challenge]
webroot    = ["{self.webroot}"]
standalone = "127.0.0.1:{standalone}"
{filters}{sites}"""

    def _respond(self, handler):
        host = handler.headers["Host"].split(":")[0]
        if host not in STATUS:
            self.release.wait(60)
        handler.answer(STATUS.get(host, 200), b"SECRET of the upstream")


@pytest.fixture(scope="module", name="setting")
def _setting(ca, tmp_path_factory):
    folder = tmp_path_factory.mktemp("clients")
    setting = Setting(folder, ca, reserve_port())
    with setting.origin, Genkan(folder, setting.config) as setting.genkan, \
            Pebble(folder, ca, http_port=setting.genkan.plain_port) as setting.pebble:
        yield setting
        setting.release.set()


STANDALONE = threading.Lock()  # one port, one client at a time


def certbot(setting, ca, folder, how=None):
    client = Certbot(folder, setting.pebble, ca, webroot=setting.webroot)
    client.issue(*NAMES, how=how)
    return (client.live(NAMES[0]) / "fullchain.pem").read_text()


def certbot_standalone(setting, ca, folder):
    with STANDALONE:
        return certbot(setting, ca, folder, ["--standalone", "--http-01-address", "127.0.0.1", "--http-01-port",
                                             setting.standalone])


def lego_standalone(setting, ca, folder):
    with STANDALONE:
        return Lego(folder, setting.pebble, ca).issue(
            *NAMES, how=["--http", "--http.port", f"127.0.0.1:{setting.standalone}"])


def by_webroot(client):
    return lambda setting, ca, folder: client(folder, setting.pebble, ca, setting.webroot).issue(*NAMES)


CLIENTS = {"lego standalone": lego_standalone, "dehydrated": by_webroot(Dehydrated), "lego": by_webroot(Lego),
           "certbot": certbot, "certbot standalone": certbot_standalone, "uacme": by_webroot(Uacme),
           "acme-tiny": by_webroot(AcmeTiny)}


@pytest.fixture(scope="module", name="issuing")
def _issuing(setting, ca, tmp_path_factory):
    """All of them at once: most of their time is waiting for each other's turns and Pebble's polls."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield {name: pool.submit(issue, setting, ca, tmp_path_factory.mktemp("client"))
               for name, issue in CLIENTS.items()}


@pytest.mark.parametrize("name", CLIENTS)
def test_gets_its_certificate(name, issuing):
    chain = issuing[name].result(timeout=400)
    assert chain.count("-----BEGIN CERTIFICATE-----") >= 2


def test_no_upstream_was_asked_and_all_else_stayed_shut(setting, issuing):
    concurrent.futures.wait(issuing.values(), timeout=400)
    for name in NAMES:
        for by in (f"webroot:{setting.webroot}", "standalone"):
            eventually(lambda name=name, by=by: re.search(
                rf"challenge_answered .*host={name}\S* client=127\.0\.0\.1 by={by} ", setting.genkan.log()),
                what=f"{by} in the log, for {name}")
        assert curl_status(setting.genkan, name, "/") == FIRST[name][1], name
        assert curl_status(setting.genkan, name, "/", tls=False) == 403, "no address may ask here"
        assert curl_status(setting.genkan, name, "/.well-known/acme-challenge/no-such-token", tls=False) == 404
    assert setting.origin.requests == []
