"""Authorities of any shape: cross-signs, expired roots, chains of any depth, made with the openssl CLI.

    h = Hierarchy(tmp_path)
    dst = h.root("DST Root CA X3", starts=-900, days=899)      # expired yesterday
    x1 = h.root("ISRG Root X1")
    cross = h.sub("ISRG Root X1", dst)                         # the same name and key under another issuer
    r3 = h.sub("R3", x1)
    leaf = h.leaf(r3, "a.test")

A name has one key, so a certificate of the same name is a cross-sign.
"""

import re
import subprocess
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from support.clients import normal_serial
from support.openssl_ca import lifetime, make_ca_folder, make_key, openssl


@dataclass
class Certificate:
    name: str
    pem: str
    path: Path
    key_path: Path
    serial: str

    @property
    def key(self):
        return self.key_path.read_text()

    @property
    def der(self):
        return subprocess.run(["openssl", "x509", "-in", self.path, "-outform", "DER"], check=True,
                              stdout=subprocess.PIPE).stdout


class Hierarchy:
    def __init__(self, folder, kind="ec"):
        self.folder = Path(folder) / "hierarchy"
        self.config = make_ca_folder(self.folder)
        self.kind = kind
        self._count = 0

    def root(self, name, starts=-30, days=3650):
        return self._issue(name, None, self._authority(), starts, days)

    def sub(self, name, issuer, starts=-30, days=1825, ca_issuers_url=None):
        return self._issue(name, issuer, self._authority(ca_issuers_url), starts, days)

    def leaf(self, issuer, *names, starts=-1, days=90, ca_issuers_url=None):
        self._count += 1
        alternatives = ",".join(("IP:" if re.fullmatch(r"[\d.]+", n) else "DNS:") + n for n in names)
        extensions = ["basicConstraints = critical, CA:FALSE",
                      "keyUsage = critical, digitalSignature, keyEncipherment",
                      "extendedKeyUsage = serverAuth", f"subjectAltName = {alternatives}"]
        return self._issue(names[0], issuer, extensions + self._address(ca_issuers_url), starts, days,
                           key_name=f"leaf{self._count}")

    def _authority(self, ca_issuers_url=None):
        return ["basicConstraints = critical, CA:TRUE",
                "keyUsage = critical, keyCertSign, cRLSign"] + self._address(ca_issuers_url)

    @staticmethod
    def _address(url):
        return [f"authorityInfoAccess = caIssuers;URI:{url}"] if url else []

    def _issue(self, name, issuer, extensions, starts, days, key_name=None):
        self._count += 1
        key = self.folder / (re.sub(r"\W", "_", key_name or name) + ".key")
        if not key.exists():
            make_key(key, self.kind)
        request, made, text = (self.folder / f"{self._count}{s}" for s in (".csr", ".pem", ".ext"))
        openssl("req", "-new", "-key", key, "-config", self.config, "-subj", f"/CN={name}", "-out", request)
        text.write_text("\n".join(extensions + ["subjectKeyIdentifier = hash",
                                                "authorityKeyIdentifier = keyid"]) + "\n")
        signer = ["-selfsign", "-keyfile", key] if issuer is None else \
            ["-cert", issuer.path, "-keyfile", issuer.key_path]
        openssl("ca", "-config", self.config, "-batch", "-notext", "-in", request, "-out", made,
                *signer, "-extfile", text, *lifetime(starts, days))
        serial = openssl("x509", "-in", made, "-noout", "-serial")
        return Certificate(name, made.read_text(), made, key, normal_serial(serial.strip().split("=", 1)[1]))


class CertificateServer:
    """`with CertificateServer() as server:` serves `server.files["/name"] = DER` over plain HTTP."""

    def __init__(self):
        self.files = {}
        self.asked = []

    def __enter__(self):
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.asked.append(self.path)
                body = served.files.get(self.path)
                if body is None:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Type", "application/pkix-cert")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
