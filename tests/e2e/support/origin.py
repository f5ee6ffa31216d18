"""Servers to stand behind genkan: one of Python's own that records what reached it."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Origin:
    """`with Origin() as origin:` an HTTP/1.1 server with keep-alive on a loopback port.

    respond(handler) may answer itself with the handler's http.server methods; without it every request gets 200 and
    "hello PATH\\n". `requests` lists what came: method, path, headers (a list of pairs) and body, as it was received.
    """

    def __init__(self, respond=None):
        origin = self
        self.requests = []
        self.connections = 0
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60
            disable_nagle_algorithm = True

            def setup(self):
                with origin._lock:
                    origin.connections += 1
                super().setup()

            def handle_any(self):
                body = self.read_body()
                with origin._lock:
                    origin.requests.append({"method": self.command, "path": self.path, "body": body,
                                            "headers": [(k.lower(), v) for k, v in self.headers.items()]})
                if respond is not None:
                    self.received = body
                    respond(self)
                else:
                    self.answer(200, f"hello {self.path}\n".encode())

            def read_body(self):
                if "chunked" in self.headers.get("transfer-encoding", "").lower():
                    body = b""
                    while True:
                        size = int(self.rfile.readline().split(b";")[0], 16)
                        if size == 0:
                            while self.rfile.readline() not in (b"\r\n", b""):
                                pass
                            return body
                        body += self.rfile.read(size)
                        self.rfile.readline()
                return self.rfile.read(int(self.headers.get("content-length", 0)))

            def answer(self, status, body=b"", headers=()):
                """A whole response with Content-Length."""
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = handle_any

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a connection that genkan closes is no news

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self):
        return self._server.server_address[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self._server.shutdown()
        self._server.server_close()
