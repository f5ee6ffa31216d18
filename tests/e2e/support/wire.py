"""A client below curl: it says exactly what a test wants, and reads HTTP/1 responses."""

import dataclasses
import os
import socket
import ssl


@dataclasses.dataclass
class Response:
    status: int
    version: str
    headers: list
    body: bytes = b""

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None


def tls_context(ca_file, alpn=("http/1.1",)):
    """A client that trusts this root alone; without protocols it sends no ALPN."""
    context = ssl.create_default_context(cafile=str(ca_file))
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class Connection:
    """One connection, plain or TLS, from an address of ours if need be. Reads HTTP/1 responses."""

    def __init__(self, port, context=None, name="a.test", source=None, timeout=60):
        self.raw = socket.create_connection(("127.0.0.1", port), timeout,
                                            source_address=(source, 0) if source else None)
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = self.raw
        try:
            if context:
                self.socket = context.wrap_socket(self.raw, server_hostname=name)
            self.stream = self.socket.makefile("rb")
        except BaseException:
            self.raw.close()
            raise

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def head(self):
        line = self.stream.readline(65537)
        if not line:
            raise ConnectionError("closed instead of a response")
        version, status, *_ = line.decode("latin-1").split(" ", 2)
        headers = []
        while (line := self.stream.readline(65537).rstrip(b"\r\n")):
            key, _, value = line.decode("latin-1").partition(":")
            headers.append((key, value.strip()))
        return Response(int(status), version, headers)

    def response(self, method="GET"):
        response = self.head()
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return response
        if (response.one("transfer-encoding") or "").lower() == "chunked":
            while size := int(self.stream.readline().split(b";")[0], 16):
                response.body += self._exactly(size)
                self.stream.readline()
            while self.stream.readline().rstrip(b"\r\n"):
                pass
        elif response.one("content-length") is not None:
            response.body = self._exactly(int(response.one("content-length")))
        else:
            response.body = self.stream.read()
        return response

    def get(self, target, host="a.test", more=""):
        self.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n")
        return self.response()

    def _exactly(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            raise ConnectionError(f"cut after {len(data)} of {size} bytes")
        return data

    def rest(self):
        """Everything until the other side closes; an end by reset or alert is an end too."""
        data = b""
        try:
            while (more := self.stream.read1(65536)):
                data += more
        except (ConnectionError, ssl.SSLError) as end:
            if isinstance(end, TimeoutError):
                raise
        return data

    def is_closed(self, within):
        """Whether the other side ends the connection in time, whatever it says before."""
        self.socket.settimeout(within)
        try:
            self.rest()
            return True
        except TimeoutError:
            return False

    def close(self):
        for thing in (self.stream, self.socket, self.raw):
            try:
                thing.close()
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))
