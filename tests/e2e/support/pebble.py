"""Pebble (a small ACME authority), its DNS server, and certbot as its client."""

import json
import os
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

from support.eventually import eventually, run
from support.ports import reserve_port


class Pebble:
    """`with Pebble(folder, ca, http_port) as pebble:` each name is 127.0.0.1, http-01 asks there at http_port,
    tls-alpn-01 at tls_port."""

    def __init__(self, folder, ca, http_port=1, tls_port=1):
        self.folder = Path(folder) / "pebble"
        self.folder.mkdir(parents=True)
        self._ca = ca
        self._http_port, self._tls_port = http_port, tls_port
        self._processes = []

    @property
    def directory(self):
        return f"https://127.0.0.1:{self._api}/dir"

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        for process in reversed(self._processes):
            process.kill()
            process.wait()
        self._processes = []

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    def root(self, path):
        """The root that Pebble made for this run, saved at path."""
        context = ssl.create_default_context(cafile=str(self._ca.root))
        with urllib.request.urlopen(f"https://127.0.0.1:{self._management}/roots/0", context=context) as answer:
            Path(path).write_bytes(answer.read())
        return Path(path)

    def _start(self):
        self._api, self._management, dns, dns_management = (reserve_port() for _ in range(4))
        own = self._ca.issue("127.0.0.1", "localhost")
        (self.folder / "api.pem").write_text(own.fullchain)
        (self.folder / "api.key").write_text(own.key)
        (self.folder / "config.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self._api}", "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self.folder / "api.pem"), "privateKey": str(self.folder / "api.key"),
            "httpPort": self._http_port, "tlsPort": self._tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": False}}))
        self._run("pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-http01", "", "-https01",
                  "", "-tlsalpn01", "", "-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{dns_management}")
        self._run("pebble", "-config", self.folder / "config.json", "-dnsserver", f"127.0.0.1:{dns}")
        eventually(lambda: all(map(self._answers, (self._api, self._management, dns_management))),
                   longest=60, what="pebble listens")

    def _run(self, *argv):
        # No waiting before a validation, no refused nonces: those are for testing clients.
        with open(self.folder / "log", "ab") as log:
            self._processes.append(subprocess.Popen(
                [str(arg) for arg in argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0",
                     "PEBBLE_AUTHZREUSE": "0"}))

    @staticmethod
    def _answers(port):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return True
        except OSError:
            return False


class Certbot:
    """certbot with everything it keeps in one folder; `live` is where the lineages appear."""

    def __init__(self, folder, pebble, ca, webroot=None):
        self.folder = Path(folder) / "certbot"
        self.webroot = Path(webroot or self.folder / "webroot")
        self.webroot.mkdir(parents=True, exist_ok=True)
        self._pebble, self._ca = pebble, ca

    def live(self, name):
        return self.folder / "config" / "live" / name

    def run(self, command, *args, longest=300.0):
        return run(["certbot", command, "--config-dir", self.folder / "config", "--work-dir", self.folder / "work",
                    "--logs-dir", self.folder / "logs", "--non-interactive", "--no-random-sleep-on-renew"
                    if command == "renew" else "--agree-tos", *args],
                   longest=longest, env={**os.environ, "REQUESTS_CA_BUNDLE": str(self._ca.root)})

    def issue(self, *names, how=None):
        """how: certbot's options for the challenge; without them the webroot."""
        how = how or ["--webroot", "-w", self.webroot]
        domains = [arg for name in names for arg in ("-d", name)]
        done = self.run("certonly", *how, "--server", self._pebble.directory,
                        "--register-unsafely-without-email", "--key-type", "ecdsa", *domains)
        self._check(done)

    def renew(self, *args):
        self._check(self.run("renew", "--force-renewal", *args))

    def _check(self, done):
        assert done.returncode == 0, (f"certbot: exit {done.returncode}\n{done.stdout}\n{done.stderr}\n"
                                      f"---- pebble ----\n{self._pebble.log()[-4000:]}")
