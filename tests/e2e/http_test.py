"""What any client may expect of an HTTP proxy: versions, bodies both ways, upgrades, fields, logs."""

import base64
import hashlib
import json
import os
import re
import subprocess
import threading

import pytest

from support.ca import Ca, Lineage
from support.clients import curl, curl_status
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan, whole_lines
from support.routed_origin import RoutedOrigin, frame, pattern, pattern_sha256, read_frame
from support.wire import Connection, tls_context

MIB = 1 << 20

CONFIG = LISTENERS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"

[[site]]
names        = ["filtered.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"
modules      = ["closed", "headers"]

[[site]]
names             = ["plain.test"]
upstream          = "{origin}"
redirect_to_https = false

[module.closed]
use           = "url_filter"
deny          = ["/private/*"]
deny_dotfiles = true

[module.headers]
use           = "security_headers"
frame_options = "DENY"
"""


class House:
    """genkan between a root that clients trust and an origin."""

    def __init__(self, folder):
        self.folder = folder
        self.ca = Ca(folder)
        names = ["a.test", "filtered.test", "plain.test"]
        self.lineage = Lineage(folder, "a.test", self.ca.issue(*names))
        self.gate = threading.Event()
        self.origin = RoutedOrigin({"/events": self.events, "/empty": self.empty, "/unchanged": self.unchanged})
        self.genkan = Genkan(folder, CONFIG.format(lineage=self.lineage.path, origin=self.origin.url))
        self.tls = tls_context(self.ca.root)

    def events(self, handler, _seen):
        """The second event only when the test has seen the first."""
        handler.start_chunked([("Content-Type", "text/event-stream")])
        handler.chunk(b"data: first\n\n")
        if self.gate.wait(60):
            handler.chunk(b"data: second\n\n")
        handler.end_chunked()

    @staticmethod
    def empty(handler, _seen):
        handler.send_response(204)
        handler.end_headers()

    @staticmethod
    def unchanged(handler, _seen):
        handler.send_response(304)
        handler.send_header("ETag", '"1"')
        handler.end_headers()

    def curl(self, path, *args, host="a.test", **options):
        return curl(self.genkan, host, path, *args, ca=self.ca.root, **options)

    def echo(self, *args, **options):
        """What the origin saw of a request to /echo."""
        done = self.curl("/echo", *args, **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def connect(self, **options):
        return Connection(self.genkan.tls_port, self.tls, **options)


@pytest.fixture(scope="module", name="house")
def _house(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("http"))
    with house.origin, house.genkan:
        yield house


@pytest.mark.parametrize("flag, version", [("--http1.0", "1.1"), ("--http1.1", "1.1"), ("--http2", "2")])
def test_each_version_of_http_is_answered_over_a_verified_chain(house, flag, version):
    # RFC 9110 2.5: an HTTP/1.0 request is answered in the highest minor version that we speak.
    done = house.curl("/", flag, "-w", "%{http_version} %{http_code} %{ssl_verify_result}", check=True)
    assert done.stdout == f"origin\n{version} 200 0"


def test_an_http_1_0_answer_ends_with_its_connection(house):
    with Connection(house.genkan.plain_port) as client:
        client.send("GET / HTTP/1.0\r\nHost: plain.test\r\n\r\n")
        response = client.response()
        assert (response.status, response.body) == (200, b"origin\n")
        assert client.is_closed(within=60)


def test_an_http_1_0_client_never_gets_chunks(house):
    with house.connect() as client:
        client.send("GET /trailers HTTP/1.0\r\nHost: a.test\r\n\r\n")
        response = client.response()
        assert response.all("transfer-encoding") == []
        assert response.body == b"with trailers\n"


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_head_and_statuses_without_body_end_at_once(house, flag):
    done = house.curl("/bytes/1000", flag, "-I", check=True)
    assert re.search(r"^content-length: 1000\r?$", done.stdout, re.M | re.I), done.stdout
    assert house.curl("/empty", flag, "-w", "%{http_code}", check=True).stdout == "204"
    assert house.curl("/unchanged", flag, "-w", "%{http_code}", check=True).stdout == "304"


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_body_that_ends_with_the_origins_connection_arrives_whole(house, flag):
    assert house.curl("/until-close", flag, check=True).stdout == "until the end\n"


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_large_download_arrives_as_it_was_sent(house, tmp_path, flag):
    size = 96 * MIB + 17
    got = tmp_path / "got"
    house.curl(f"/bytes/{size}", flag, "-o", got, longest=120, check=True)
    assert got.stat().st_size == size
    with open(got, "rb") as stream:
        assert hashlib.file_digest(stream, "sha256").hexdigest() == pattern_sha256(size)


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_large_upload_arrives_as_it_was_sent(house, tmp_path, flag):
    size = 48 * MIB + 5
    given = tmp_path / "given"
    with open(given, "wb") as stream:
        stream.writelines(pattern(size))
    seen = house.echo(flag, "-T", given, longest=120)
    assert (seen["method"], seen["size"], seen["sha256"]) == ("PUT", size, pattern_sha256(size))


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_an_upload_of_unknown_length_arrives_chunked_and_whole(house, tmp_path, flag):
    size = 3 * MIB + 1
    given = tmp_path / "given"
    with open(given, "wb") as stream:
        stream.writelines(pattern(size))
    chunked = ["-H", "Transfer-Encoding: chunked"] if flag == "--http1.1" else ["-H", "Content-Length:"]
    seen = house.echo(flag, *chunked, "-X", "POST", "-T", given)
    assert (seen["size"], seen["sha256"]) == (size, pattern_sha256(size))
    if flag == "--http1.1":
        assert seen["chunked"]


def test_expect_continue_goes_to_the_origin_and_back_before_the_body(house):
    with house.connect() as client:
        client.send("POST /echo HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert client.head().status == 100
        client.send("hello")
        response = client.response()
        assert response.status == 200
        assert json.loads(response.body)["sha256"] == hashlib.sha256(b"hello").hexdigest()


def test_trailers_reach_the_origin(house):
    with house.connect() as client:
        client.send("POST /echo HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                    "5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
        seen = json.loads(client.response().body)
    assert (seen["size"], seen["trailers"]) == (5, [["x-sum", "42"]])


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_trailers_reach_the_client(house, tmp_path, flag):
    fields = tmp_path / "fields"
    done = house.curl("/trailers", flag, "-D", fields, "-H", "TE: trailers", check=True)
    assert done.stdout == "with trailers\n"
    head, _, trailers = fields.read_text().replace("\r\n", "\n").partition("\n\n")
    assert "x-checksum: 0815" in (trailers or head).lower(), fields.read_text()


def test_fifty_pipelined_requests_are_answered_in_order(house):
    with house.connect() as client:
        client.send("".join(f"GET /echo?{i} HTTP/1.1\r\nHost: a.test\r\n\r\n" for i in range(50)))
        targets = [json.loads(client.response().body)["target"] for _ in range(50)]
    assert targets == [f"/echo?{i}" for i in range(50)]


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_an_event_is_seen_before_the_next_one_is_sent(house, flag):
    house.gate.clear()
    port = house.genkan.tls_port
    with subprocess.Popen(["curl", "-sSN", flag, "--noproxy", "*", "--max-time", "60", "--cacert", house.ca.root,
                           "--resolve", f"a.test:{port}:127.0.0.1", f"https://a.test:{port}/events"],
                          stdout=subprocess.PIPE) as client:
        try:
            assert client.stdout.readline() == b"data: first\n"
        finally:
            house.gate.set()
        assert client.stdout.read() == b"\ndata: second\n\n"
    assert client.returncode == 0


def test_a_websocket_echoes_through_tls(house):
    key = base64.b64encode(os.urandom(16)).decode()
    with house.connect() as client:
        client.send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n")
        response = client.head()
        assert response.status == 101
        assert response.one("upgrade") == "websocket"
        proof = hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert response.one("sec-websocket-accept") == base64.b64encode(proof).decode()
        for message in (b"konnichiwa", b"", os.urandom(300000)):
            client.send(frame(2, message, mask=os.urandom(4)))
            assert read_frame(client.stream) == (2, message)
        client.send(frame(8, b"\x03\xe8", mask=os.urandom(4)))
        assert read_frame(client.stream) == (8, b"\x03\xe8")
        assert client.is_closed(within=60)


def test_plain_http_is_redirected_with_its_method_kept(house):
    done = house.curl("/shop?q=a%20b", "-w", "%{http_code} %{redirect_url}", "-o", "/dev/null", tls=False, check=True)
    status, location = done.stdout.split(" ", 1)
    assert status == "301"
    assert re.fullmatch(r"https://a\.test(:\d+)?/shop\?q=a%20b", location)
    assert house.curl("/", "-d", "x=1", "-w", "%{http_code}", "-o", "/dev/null", tls=False).stdout == "308"


def test_a_host_that_no_site_names_is_misdirected(house):
    assert curl_status(house.genkan, "a.test", "/", "-H", "Host: nobody.test", ca=house.ca.root) == 421
    assert curl_status(house.genkan, "nobody.test", "/", tls=False) == 404


def test_the_origin_learns_who_asked_and_how(house):
    seen = dict(house.echo("--http2", "-H", "X-Forwarded-For: 192.0.2.1", "-H", "X-Forwarded-Proto: gopher",
                           "-H", "Connection: x-forwarded-for")["headers"])
    fields = {name.lower(): value for name, value in seen.items()}
    port = str(house.genkan.tls_port)
    assert fields["host"] in ("a.test", f"a.test:{port}")
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert fields["x-forwarded-proto"] == "https"
    assert fields["x-forwarded-host"] == fields["host"]
    assert fields["x-forwarded-port"] == port
    assert not {"te", "upgrade", "forwarded", "http2-settings"} & set(fields)


def test_on_plain_the_origin_learns_that_too(house):
    seen = house.echo(tls=False, host="plain.test")
    fields = {name.lower(): value for name, value in seen["headers"]}
    assert fields["x-forwarded-proto"] == "http"
    assert fields["x-forwarded-port"] == str(house.genkan.plain_port)


def test_fields_for_safer_browsers_are_set_over_tls(house):
    with house.connect(name="filtered.test") as client:
        response = client.get("/", host="filtered.test")
    assert response.status == 200
    assert response.one("strict-transport-security") == "max-age=63072000"
    assert response.one("x-content-type-options") == "nosniff"
    assert response.one("x-frame-options") == "DENY"


@pytest.mark.parametrize("path, status", [
    ("/private/a", 403), ("/x/../private/a", 403), ("/%70rivate/a", 403), ("//private//a", 403), ("/.git/config", 403),
    ("/x/.env", 403), ("/private%2fa", 400), ("/x;/../private/a", 400), ("/privateer", 200), ("/a.b", 200)])
def test_a_filter_judges_the_path_that_is_forwarded(house, path, status):
    before = len(house.origin.requests)
    assert curl_status(house.genkan, "filtered.test", path, "--path-as-is", ca=house.ca.root) == status
    if status != 200:
        assert len(house.origin.requests) == before


def test_without_a_filter_escapes_are_forwarded_unchanged(house):
    assert house.curl("/a%2Fb;c?d=%20", check=True).returncode == 0
    assert house.origin.last().target == "/a%2Fb;c?d=%20"


# As Apache's CustomLog writes "combined".
COMBINED = re.compile(r'^(\S+) - (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
                      r'"([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"$')


def test_access_log_is_combined_as_apache_writes_it(house):
    house.curl("/logged?x=1", "--http2", "-A", 'say "hi"\\', "-e", "https://b.test/", check=True)
    line = eventually(lambda: [line for line in house.genkan.access_log().splitlines() if "/logged?x=1" in line],
                      what="the line in the access log")[0]
    match = COMBINED.match(line)
    assert match, line
    assert match.groups()[:2] == ("127.0.0.1", "-")
    assert match.groups()[3:] == ("GET /logged?x=1 HTTP/2.0", "200", "7", "https://b.test/", r"say \x22hi\x22\x5C")
    for line in house.genkan.access_log().splitlines():
        assert COMBINED.match(line), line


def test_access_log_as_json_can_be_parsed(house, tmp_path):
    output = tmp_path / "json.log"
    config = (CONFIG.format(lineage=house.lineage.path, origin=house.origin.url) +
              f'\n[access_log]\noutput = "{output}"\nformat = "json"\n')
    with Genkan(tmp_path, config) as genkan:
        curl(genkan, "a.test", "/json", "-A", '"\u00e9\\', ca=house.ca.root, check=True)
        curl(genkan, "a.test", "/redirected", tls=False, check=True)
        lines = eventually(lambda: len(lines := whole_lines(output).splitlines()) == 2 and lines,
                           what="two lines in the access log")
    # Each worker's lines are written in one go, so that those of two workers come in any order.
    over_tls, redirected = sorted(map(json.loads, lines), key=lambda line: line["status"])
    assert over_tls["status"] == 200
    assert over_tls["target"] == "/json"
    assert over_tls["version"] == "HTTP/2.0"
    assert over_tls["tls_version"] == "TLSv1.3"
    assert over_tls["sni"] == "a.test"
    assert over_tls["bytes"] == 7
    assert over_tls["upstream"] == f"127.0.0.1:{house.origin.port}"
    assert redirected["status"] == 301
    assert "tls_version" not in redirected
