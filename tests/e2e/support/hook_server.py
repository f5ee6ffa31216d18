"""Who an operator's `on_revoked = ["https://…"]` tells: an https server that keeps what it was told.

    with HookServer(ca, tmp_path) as server:  # its certificate for 127.0.0.1 is of this authority
        … on_revoked = ["{server.url}"] …
        server.status = 500                  # what it answers; "silent": nothing until it ends
        server.told                          # a list of (path, headers, body)
"""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class HookServer:
    def __init__(self, ca, folder, name="127.0.0.1"):
        self.status = 200
        self.told = []
        self.failed_handshakes = 0
        self._stopped = threading.Event()
        issued = ca.issue(name)
        self._files = folder / "hook.pem", folder / "hook.key"
        self._files[0].write_text(issued.fullchain)
        self._files[1].write_text(issued.key)

    @property
    def url(self):
        return f"https://127.0.0.1:{self._server.server_address[1]}/revoked"

    def __enter__(self):
        hook = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._files)

        class Handler(BaseHTTPRequestHandler):
            def setup(self):
                self.request.settimeout(30)
                try:
                    self.request = context.wrap_socket(self.request, server_side=True)
                except OSError:
                    hook.failed_handshakes += 1
                    raise
                super().setup()

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.told.append((self.path, dict(self.headers), body))
                if hook.status == "silent":
                    hook._stopped.wait(60)
                    return
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a handshake that failed has been counted; a client that gave up is what is tested

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._stopped.set()
        self._server.shutdown()
        self._server.server_close()
