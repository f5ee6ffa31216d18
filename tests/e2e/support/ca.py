"""An authority of the test's own, made with the openssl CLI, with lineages and an OCSP responder.

    ca = Ca(tmp_path)
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))   # …/live/a.test, as certbot lays it out
    … certificates = ["{lineage.path}"] … curl --cacert {ca.root}
"""

import base64
import os
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

from support.clients import normal_serial
from support.ocsp_answers import with_broken_signature, with_times
from support.openssl_ca import lifetime, make_ca_folder, make_key, openssl

AUTHORITY = """certificate = $dir/intermediate.pem
private_key = $dir/intermediate.key"""
SECTIONS = """[root]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[intermediate]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""


@dataclass
class Issued:
    """A leaf with its key and what stands between it and the root, as PEM texts."""
    cert: str
    key: str
    chain: str
    serial: str

    @property
    def fullchain(self):
        return self.cert + self.chain


class Ca:
    def __init__(self, folder, name="genkan test"):
        self.name = name
        self.folder = Path(folder) / "ca"
        self.config = make_ca_folder(self.folder, own=AUTHORITY, sections=SECTIONS)
        self.root = self.folder / "root.pem"
        self.intermediate = self.folder / "intermediate.pem"
        self._count = 0
        make_key(self.folder / "root.key")
        openssl("req", "-x509", "-new", "-key", self.folder / "root.key", "-subj", f"/CN={name} root",
                "-days", 3650, "-config", self.config, "-extensions", "root", "-out", self.root)
        make_key(self.folder / "intermediate.key")
        openssl("req", "-new", "-key", self.folder / "intermediate.key", "-config", self.config,
                "-subj", f"/CN={name} intermediate", "-out", self.folder / "intermediate.csr")
        openssl("x509", "-req", "-in", self.folder / "intermediate.csr", "-days", 1825,
                "-CA", self.root, "-CAkey", self.folder / "root.key", "-set_serial", "0x1001",
                "-extfile", self.config, "-extensions", "intermediate", "-out", self.intermediate)

    def issue(self, *names, days=90, starts=-1.0, kind="ec", ocsp_url=None, ca_issuers_url=None, crl_url=None,
              must_staple=False):
        """A leaf for names and addresses. `starts` is in days from now, `days` from there on."""
        self._count += 1
        leaf = self.folder / f"leaf{self._count}"
        key, csr, cert, extensions = (leaf.with_suffix(s) for s in (".key", ".csr", ".pem", ".ext"))
        make_key(key, kind)
        openssl("req", "-new", "-key", key, "-config", self.config, "-subj", f"/CN={names[0]}", "-out", csr)
        alternatives = ",".join(("IP:" if re.fullmatch(r"[\d.]+|.*::.*", n) else "DNS:") + n for n in names)
        information = [f"OCSP;URI:{ocsp_url}"] if ocsp_url else []
        information += [f"caIssuers;URI:{ca_issuers_url}"] if ca_issuers_url else []
        extensions.write_text("\n".join(
            ["basicConstraints = critical, CA:FALSE", "keyUsage = critical, digitalSignature, keyEncipherment",
             "extendedKeyUsage = serverAuth", f"subjectAltName = {alternatives}",
             "subjectKeyIdentifier = hash", "authorityKeyIdentifier = keyid"]
            + (["authorityInfoAccess = " + ",".join(information)] if information else [])
            + ([f"crlDistributionPoints = URI:{crl_url}"] if crl_url else [])
            + (["tlsfeature = status_request"] if must_staple else [])) + "\n")

        openssl("ca", "-config", self.config, "-batch", "-notext", "-in", csr, "-out", cert,
                "-extfile", extensions, *lifetime(starts, days))
        serial = openssl("x509", "-in", cert, "-noout", "-serial").strip().split("=", 1)[1]
        return Issued(cert.read_text(), key.read_text(), self.intermediate.read_text(), normal_serial(serial))

    def issue_many(self, count, *names, **how):
        """As many leaves that differ in their serial alone: one key for all, and made by one openssl."""
        first = self.issue(*names, **how)
        leaf = self.folder / f"leaf{self._count}"
        before = set((self.folder / "issued").iterdir())
        openssl("ca", "-config", self.config, "-batch", "-notext", "-days", 60,
                "-extfile", leaf.with_suffix(".ext"), "-infiles", *[leaf.with_suffix(".csr")] * (count - 1))
        made = sorted(set((self.folder / "issued").iterdir()) - before)
        assert len(made) == count - 1, len(made)
        return [first] + [Issued(path.read_text(), first.key, first.chain, normal_serial(path.stem)) for path in made]

    def revoke(self, issued, reason="keyCompromise"):
        path = self.folder / "revoked.pem"
        path.write_text(issued.cert)
        openssl("ca", "-config", self.config, "-revoke", path, "-crl_reason", reason)

    def crl(self, hours=24):
        """The revocation list of now, as DER."""
        pem = self.folder / "list.pem"
        openssl("ca", "-config", self.config, "-gencrl", "-crlhours", hours, "-out", pem)
        der = self.folder / "list.der"
        openssl("crl", "-in", pem, "-outform", "DER", "-out", der)
        return der.read_bytes()

    def ocsp_request(self, issued):
        """The DER request for a leaf."""
        path = self.folder / "asked.pem"
        path.write_text(issued.cert)
        told = self.folder / "asked.der"
        openssl("ocsp", "-no_nonce", "-issuer", self.intermediate, "-cert", path, "-reqout", told)
        return told.read_bytes()

    def ocsp_response(self, request, days=1, signer=None, times=None):
        """The DER answer to a DER request, signed by the intermediate, or by a leaf (Issued).

        times: its thisUpdate and nextUpdate, in seconds from now (of a certificate that is good).
        """
        asked = self.folder / f"request{threading.get_ident()}.der"
        told = asked.with_suffix(".response")
        asked.write_bytes(request)
        certificate, key = self.intermediate, self.folder / "intermediate.key"
        if signer is not None:
            certificate, key = self.folder / "signer.pem", self.folder / "signer.key"
            certificate.write_text(signer.cert)
            key.write_text(signer.key)
        openssl("ocsp", "-index", self.folder / "index.txt", "-CA", self.intermediate, "-rsigner", certificate,
                "-rkey", key, "-ndays", days, "-reqin", asked, "-respout", told)
        answer = told.read_bytes()
        return with_times(answer, key, self.folder, *times) if times else answer


class Lineage:
    """…/live/NAME with cert.pem, chain.pem, fullchain.pem, privkey.pem: symlinks into …/archive/NAME."""

    KINDS = ("cert", "chain", "fullchain", "privkey")

    def __init__(self, folder, name, issued=None):
        self.path = Path(folder) / "letsencrypt" / "live" / name
        self.archive = Path(folder) / "letsencrypt" / "archive" / name
        self.version = 0
        if issued is not None:
            self.renew(issued)

    def renew(self, issued):
        """The next version as certbot writes it: four new files, then one symlink after the other."""
        self.renew_with({"cert": issued.cert, "chain": issued.chain, "fullchain": issued.fullchain,
                         "privkey": issued.key})

    def renew_with(self, texts):
        """The same with any contents, also broken ones. A kind that is left out keeps its symlink."""
        self.version += 1
        self.archive.mkdir(parents=True, exist_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        for kind, text in texts.items():
            target = self.archive / f"{kind}{self.version}.pem"
            target.write_text(text)
            if kind == "privkey":
                target.chmod(0o600)
        for kind in texts:
            link = self.path / f"{kind}.pem"
            fresh = self.path / f".{kind}.new"
            fresh.symlink_to(os.path.relpath(self.archive / f"{kind}{self.version}.pem", self.path))
            os.replace(fresh, link)


class OcspResponder:
    """`with OcspResponder(ca) as responder:` an OCSP responder over HTTP, answered by `openssl ocsp` for each request.

    (`openssl ocsp -port` itself hangs on a connection that says nothing.) `stop()` and `start()` keep the port.
    mode: "normal", or "try_later", "garbage", "error" (HTTP 500), "silent" (no answer until it is stopped), "huge"
    (10 MB), "dripping" (a byte a second), "other" (about `other`, a leaf), "not_allowed" (signed by that leaf),
    "bad_signature", "expired", "future" (its thisUpdate). `url_of(mode)` has that mode alone, whatever the others get.

    times: of the mode "normal", see Ca.ocsp_response. requests: how many came, and `asked[mode]` of each mode.
    most_at_once: of questions whose answers are being made. gathers: none is answered before as many have been there at
    once. answers: of the mode "normal", in their order.
    """

    TRY_LATER = bytes([0x30, 0x03, 0x0A, 0x01, 0x03])
    BAD_MODES = ("error", "garbage", "try_later", "other", "bad_signature", "not_allowed", "expired", "future", "huge")
    _DAY = 86400
    _TIMES = {"expired": (-2 * _DAY, -_DAY), "future": (_DAY, 2 * _DAY)}

    def __init__(self, ca=None):
        self.ca = ca
        self.mode = "normal"
        self.other = None
        self.times = None
        self.requests = 0
        self.asked = Counter()
        self.gathers = 0
        self.most_at_once = 0
        self.answers = []
        self._at_once = 0
        self._port = 0
        self._server = None
        self._counts = threading.Condition()
        self._files = threading.Lock()  # the CA's, where one has a fixed name
        self._stopped = threading.Event()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._port}/"

    def url_of(self, mode):
        return f"{self.url}{mode}/"

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def start(self):
        responder = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.reply(self.rfile.read(int(self.headers["content-length"])))

            def do_GET(self):
                self.reply(base64.b64decode(unquote(self.path.split("/")[-1])))

            def reply(self, request):
                named = self.path.split("/")[1]
                mode = named if named in OcspResponder.BAD_MODES else responder.mode
                with responder._arrived(mode):
                    body = responder._answer(request, mode)
                if mode == "silent":
                    responder._stopped.wait(60)
                    return
                if mode == "try_later":
                    body = OcspResponder.TRY_LATER
                elif mode == "huge":
                    body = b"\x30\x84\x00\xa0\x00\x00" + bytes(10 << 20)
                elif mode == "garbage":
                    body = b"<html>this is not OCSP</html>"
                elif mode == "error":
                    return self.send_error(500)
                self.send_response(200)
                self.send_header("Content-Type", "application/ocsp-response")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    if mode == "dripping":
                        for byte in body:
                            self.wfile.write(bytes([byte]))
                            if responder._stopped.wait(1):
                                return
                    self.wfile.write(body)
                except OSError:
                    pass  # it was given up, as it should be

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256
            allow_reuse_address = True

        self._stopped.clear()
        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @contextmanager
    def _arrived(self, mode):
        with self._counts:
            self.requests += 1
            self.asked[mode] += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            self._counts.notify_all()
            self._counts.wait_for(lambda: self.most_at_once >= self.gathers, 9)
        try:
            yield
        finally:
            # Before its answer goes out: whoever has it may ask the next one at once.
            with self._counts:
                self._at_once -= 1

    def _answer(self, request, mode):
        if mode == "normal" and self.times is None:
            body = self.ca.ocsp_response(request)
            self.answers.append(body)
            return body
        if mode == "dripping":
            return self.ca.ocsp_response(request)
        with self._files:
            if mode == "normal":
                return self.ca.ocsp_response(request, times=self.times)
            if mode == "not_allowed":
                return self.ca.ocsp_response(request, signer=self.other)
            if mode == "other":
                return self.ca.ocsp_response(self.ca.ocsp_request(self.other))
            if mode == "bad_signature":
                return with_broken_signature(self.ca.ocsp_response(request))
            if mode in self._TIMES:
                return self.ca.ocsp_response(request, times=self._TIMES[mode])
        return None

    def stop(self):
        if self._server is not None:
            self._stopped.set()
            self._server.shutdown()
            self._server.server_close()
            self._server = None
