"""ACME clients other than certbot (support/pebble.py has that one), each with all that it keeps in a folder of its own.

Every client has issue(*names), which returns the chain as PEM, and fails with the client's and Pebble's words.
"""

import os
from pathlib import Path

from support.eventually import run


class Client:
    """What they share: the folder, the directory's URL, the root of Pebble's own API, and how a failure is told."""

    name = ""

    def __init__(self, folder, pebble, ca, webroot=None):
        self.folder = Path(folder) / (self.name or type(self).__name__.lower())
        self.folder.mkdir(parents=True)
        self.webroot = Path(webroot or self.folder / "webroot")
        self.tokens = self.webroot / ".well-known" / "acme-challenge"
        self.tokens.mkdir(parents=True, exist_ok=True)
        self._pebble, self._ca = pebble, ca

    def _run(self, argv, longest=90.0, **env):
        done = run(argv, longest=longest, env={**os.environ, **{k: str(v) for k, v in env.items()}})
        assert done.returncode == 0, (f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}\n"
                                      f"{done.stderr}\n---- pebble ----\n{self._pebble.log()[-4000:]}")
        return done


class Lego(Client):
    """lego: http-01 by webroot or standalone, tls-alpn-01 by a server of its own."""

    name = "lego"

    def issue(self, *names, how=None):
        """how: lego's options for the challenge; without them the webroot."""
        how = how or ["--http", "--http.webroot", self.webroot]
        domains = [arg for name in names for arg in ("--domains", name)]
        self._run(["lego", "--path", self.folder / "data", "--server", self._pebble.directory, "--accept-tos",
                   "--email", "a@a.test", *how, *domains, "run"], LEGO_CA_CERTIFICATES=self._ca.root)
        return (self.folder / "data" / "certificates" / f"{names[0]}.crt").read_text()
