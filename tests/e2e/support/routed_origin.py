"""An origin that does what a test tells it and remembers what came: plain HTTP/1.1, a thread a connection."""

import base64
import hashlib
import json
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BLOCK = 1 << 16


def pattern(size):
    """`size` bytes that differ from block to block, so that a lost or doubled block changes the hash."""
    base = hashlib.sha256(b"genkan").digest() * (BLOCK // 32)
    for at in range(0, size, BLOCK):
        yield (struct.pack("!Q", at) + base[8:])[:min(BLOCK, size - at)]


def pattern_sha256(size):
    digest = hashlib.sha256()
    for block in pattern(size):
        digest.update(block)
    return digest.hexdigest()


class Seen:
    """A request as it came."""

    def __init__(self, method, target, version, headers):
        self.method, self.target, self.version, self.headers = method, target, version, headers
        self.size, self.sha256, self.trailers, self.is_chunked = 0, "", [], False

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name):
        values = self.all(name)
        return values[0] if len(values) == 1 else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def read_body(self, seen):
        digest = hashlib.sha256()

        def take(size):
            while size:
                data = self.rfile.read(min(size, BLOCK))
                if not data:
                    raise ConnectionError("cut body")
                digest.update(data)
                seen.size += len(data)
                size -= len(data)

        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            seen.is_chunked = True
            while size := int(self.rfile.readline().split(b";")[0], 16):
                take(size)
                self.rfile.readline()
            while line := self.rfile.readline().rstrip(b"\r\n"):
                name, _, value = line.decode("latin-1").partition(":")
                seen.trailers.append((name.lower(), value.strip()))
        else:
            take(int(self.headers.get("Content-Length", 0)))
        seen.sha256 = digest.hexdigest()

    def answer(self):
        origin = self.server.origin
        seen = Seen(self.command, self.path, self.request_version, list(self.headers.items()))
        try:
            self.read_body(seen)
            origin.remember(seen)
            origin.route(self.path.partition("?")[0])(self, seen)
        except (OSError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = answer

    def reply(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def start_chunked(self, headers=()):
        self.send_response(200)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end_chunked(self, trailers=()):
        lines = b"".join(b"%s: %s\r\n" % (name.encode(), value.encode()) for name, value in trailers)
        self.wfile.write(b"0\r\n" + lines + b"\r\n")


def _echo(handler, seen):
    body = {"method": seen.method, "target": seen.target, "version": seen.version, "headers": seen.headers,
            "size": seen.size, "sha256": seen.sha256, "trailers": seen.trailers, "chunked": seen.is_chunked}
    handler.reply(200, json.dumps(body).encode(), [("Content-Type", "application/json")])


def _bytes(handler, seen):
    """/bytes/N: N bytes of pattern()."""
    size = int(seen.target.rsplit("/", 1)[1])
    handler.send_response(200)
    handler.send_header("Content-Length", str(size))
    handler.send_header("Content-Type", "application/octet-stream")
    handler.end_headers()
    if handler.command != "HEAD":
        for block in pattern(size):
            handler.wfile.write(block)


def _trailers(handler, _seen):
    handler.start_chunked([("Trailer", "X-Checksum")])
    handler.chunk(b"with trailers\n")
    handler.end_chunked([("X-Checksum", "0815")])


def _until_close(handler, _seen):
    """As an HTTP/1.0 server does it: no length, the end of the connection ends the body."""
    handler.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end\n")
    handler.close_connection = True


def _websocket(handler, _seen):
    """Echoes the frames of one client, unmasked, until it says close."""
    key = handler.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    handler.send_response(101)
    handler.send_header("Upgrade", "websocket")
    handler.send_header("Connection", "Upgrade")
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    handler.send_header("Sec-WebSocket-Accept", accept)
    handler.end_headers()
    opcode = 0
    while opcode != 8:
        opcode, data = read_frame(handler.rfile)
        handler.wfile.write(frame(opcode, data))
    handler.close_connection = True


def frame(opcode, data, mask=None):
    """One frame of RFC 6455 5.2, whole."""
    bit = 0x80 if mask else 0
    if len(data) < 126:
        head = bytes([0x80 | opcode, bit | len(data)])
    elif len(data) < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, bit | 126, len(data))
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, bit | 127, len(data))
    return head + (mask + _masked(data, mask) if mask else data)


def read_frame(stream):
    first, second = _exactly(stream, 2)
    size = second & 0x7f
    if size == 126:
        size = struct.unpack("!H", _exactly(stream, 2))[0]
    elif size == 127:
        size = struct.unpack("!Q", _exactly(stream, 8))[0]
    mask = _exactly(stream, 4) if second & 0x80 else None
    data = _exactly(stream, size)
    return first & 0x0f, _masked(data, mask) if mask else data


def _masked(data, mask):
    whole = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(whole, "big")).to_bytes(len(data), "big")


def _exactly(stream, size):
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionError("cut frame")
    return data


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def handle_error(self, *_):
        pass  # a connection that genkan closes is no news


class RoutedOrigin:
    """`with RoutedOrigin({"/x": answer}) as origin:`. A route is a path, or a prefix that ends in a slash, and what
    answers it: a function of the handler and the Seen request. `requests` lists what came."""

    def __init__(self, routes=()):
        self.routes = {"/echo": _echo, "/bytes/": _bytes, "/trailers": _trailers,
                       "/until-close": _until_close, "/ws": _websocket,
                       "/": lambda handler, _seen: handler.reply(200, b"origin\n")}
        self.routes.update(routes)
        self.requests = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.origin = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def route(self, path):
        """The longest that fits."""
        fits = [known for known in self.routes
                if path == known or (known.endswith("/") and path.startswith(known))]
        return self.routes[max(fits, key=len)]

    def remember(self, seen):
        with self._lock:
            self.requests.append(seen)

    def last(self):
        with self._lock:
            return self.requests[-1]

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
