"""What an authority offers over HTTP beside OCSP: a revocation list, and renewal information (ARI, RFC 9773).

    with Authority(ca) as authority:
        issued = ca.issue("a.test", crl_url=authority.crl_url)
        … ari_file = "{authority.ari_file(tmp_path)}" …
        authority.window = (-7200, -3600)      # seconds from now: the suggested window
        authority.windows[issued.serial] = …   # of that one alone
"""

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.clients import normal_serial


class Authority:
    def __init__(self, ca):
        self.ca = ca
        self.window = (30 * 86400, 32 * 86400)
        self.windows = {}  # by serial
        self.retry_after = 3600  # of renewal information, in seconds
        self.explanation = "https://authority.test/why"
        self.status = 200  # of the list
        self.crl_requests = self.not_modified = 0
        self.asked = []  # certIDs
        self._crl = None
        self._lock = threading.Lock()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def crl_url(self):
        return self.url + "/list.crl"

    def publish(self):
        """A new revocation list with what the CA has revoked so far."""
        with self._lock:
            self._crl = self.ca.crl()

    def ari_file(self, folder):
        path = folder / "ari.toml"
        path.write_text(f'[[authority]]\nissuer = "{self.ca.name} intermediate"\n'
                        f'directory = "{self.url}/directory"\n')
        return path

    def _renewal(self, cert_id):
        # RFC 9773 4.1: the serial is the second half.
        serial = cert_id.split(".")[1]
        serial = normal_serial(base64.urlsafe_b64decode(serial + "=" * (-len(serial) % 4)).hex())
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
                      for seconds in self.windows.get(serial, self.window))
        return {"suggestedWindow": {"start": start, "end": end}, "explanationURL": self.explanation}

    def __enter__(self):
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.split("?")[0] == "/list.crl":
                    return self.list()
                if self.path == "/directory":
                    return self.reply(json.dumps({"newNonce": authority.url + "/nonce",
                                                  "renewalInfo": authority.url + "/renewal"}).encode())
                if self.path.startswith("/renewal/"):
                    cert_id = self.path.split("/")[-1]
                    authority.asked.append(cert_id)
                    return self.reply(json.dumps(authority._renewal(cert_id)).encode(), ("Retry-After", str(authority.retry_after)))
                return self.send_error(404)

            def list(self):
                with authority._lock:
                    authority.crl_requests += 1
                    if authority._crl is None:
                        authority._crl = authority.ca.crl()
                    body = authority._crl
                if authority.status != 200:
                    return self.send_error(authority.status)
                etag = '"' + hashlib.sha256(body).hexdigest()[:16] + '"'
                if self.headers.get("If-None-Match") == etag:
                    authority.not_modified += 1
                    self.send_response(304)
                    return self.end_headers()
                return self.reply(body, ("ETag", etag))

            def reply(self, body, *headers):
                self.send_response(200)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
