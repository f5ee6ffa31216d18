"""ACME clients other than certbot (support/pebble.py has that one), each with all that it keeps in a folder of its own.

Every client has issue(*names), which returns the chain as PEM, and fails with the client's and Pebble's words.
"""

import os
import stat
from pathlib import Path

from support.eventually import run


class Client:
    """What they share: the folder, the directory's URL, the root of Pebble's own API, and how a failure is told."""

    name = ""

    def __init__(self, folder, pebble, ca, webroot=None):
        self.folder = Path(folder) / self.name
        self.folder.mkdir(parents=True)
        self.webroot = Path(webroot or self.folder / "webroot")
        self.tokens = self.webroot / ".well-known" / "acme-challenge"
        self.tokens.mkdir(parents=True, exist_ok=True)
        self._pebble, self._ca = pebble, ca

    def _run(self, argv, longest=300.0, **env):
        done = run(argv, longest=longest, env={**os.environ, **{k: str(v) for k, v in env.items()}})
        assert done.returncode == 0, (f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}\n"
                                      f"{done.stderr}\n---- pebble ----\n{self._pebble.log()[-4000:]}")
        return done

    def _script(self, name, text):
        path = self.folder / name
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path


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


class Dehydrated(Client):
    """dehydrated writes each token into WELLKNOWN."""

    name = "dehydrated"

    def issue(self, *names):
        config = self.folder / "config"
        config.write_text(f'CA="{self._pebble.directory}"\nBASEDIR="{self.folder}"\nWELLKNOWN="{self.tokens}"\n'
                          f'CURL_OPTS="--cacert {self._ca.root} --noproxy *"\nKEY_ALGO="secp384r1"\nOCSP_FETCH="no"\n')
        self._run(["dehydrated", "--config", config, "--register", "--accept-terms"])
        domains = [arg for name in names for arg in ("--domain", name)]
        self._run(["dehydrated", "--config", config, "--cron", *domains])
        return (self.folder / "certs" / names[0] / "fullchain.pem").read_text()


class Uacme(Client):
    """uacme, with the hook script of its package."""

    name = "uacme"

    def issue(self, *names):
        # It has no way to name a root for the authority's own API: see curl_ca_bundle.c.
        env = {"UACME_CHALLENGE_PATH": self.tokens, "CURL_CA_BUNDLE": self._ca.root,
               "LD_PRELOAD": os.environ["GENKAN_CURL_CA_BUNDLE"]}
        common = ["uacme", "--verbose", "--yes", "--acme-url", self._pebble.directory, "--confdir", self.folder / "data"]
        self._run([*common, "new"], **env)
        self._run([*common, "--hook", "/usr/share/uacme/uacme.sh", "--no-ocsp", "--type", "EC", "issue", *names], **env)
        return (self.folder / "data" / names[0] / "cert.pem").read_text()


class AcmeTiny(Client):
    """acme-tiny: two hundred lines of Python that write tokens into a folder. Its self-check asks at check_port."""

    name = "acme-tiny"

    def issue(self, *names):
        for key, what in (("account.key", "rsa:2048"), ("domain.key", "ec")):
            kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if what == "ec" else \
                ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
            run(["openssl", "genpkey", *kind, "-out", self.folder / key], check=True)
        subject = ",".join(f"DNS:{name}" for name in names)
        run(["openssl", "req", "-new", "-key", self.folder / "domain.key", "-subj", "/", "-addext",
             f"subjectAltName={subject}", "-out", self.folder / "csr"], check=True)
        done = self._run(["acme-tiny", "--account-key", self.folder / "account.key", "--csr", self.folder / "csr",
                          "--acme-dir", self.tokens, "--directory-url", self._pebble.directory, "--disable-check"],
                         SSL_CERT_FILE=self._ca.root)
        return done.stdout
