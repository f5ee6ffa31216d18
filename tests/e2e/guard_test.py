"""The challenge path on real sockets: hostile spellings leak nothing, reach no upstream and hold up no worker."""

import concurrent.futures
import itertools
import json
import os
import threading

import pytest

from support import hostile_paths
from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.origin import Origin
from support.wire import Connection, tls_context

PREFIX = "/.well-known/acme-challenge/"
TOKEN = "tOkEn-_123"
AUTHORIZATION = f"{TOKEN}.{'T' * 43}"
SECRET = "SECRET-that-nobody-may-see"
# Of the right form, but not where a token may be.
OUTSIDE = f"{TOKEN}.{'S' * 43}"

CONFIG = LISTENERS + """
[acme_challenge]
webroot = ["{webroot}"]
[access_log]
output = "{webroot}/../access.json"
format = "json"
[limits]
connections_per_address = 0

[[site]]
names             = ["a.test"]
certificates      = ["{lineage}"]
upstream          = "{origin}"
redirect_to_https = false
"""

# What these mean is the path itself, so they get the token's own answer …
SAME_PATH = {"an absolute target", "an upgrade to h2c"}
# … and these mean another path in every reading, so they may go where other paths go.
OTHER_PATH = {"three dots"}


def table():
    """(group, Hostile) of everything."""
    return [(group, one) for group, ones in (
        ("spelling", hostile_paths.spellings(PREFIX + TOKEN)),
        ("to the webroot", hostile_paths.traversals(PREFIX, "/secret.txt")),
        ("out of the webroot", hostile_paths.traversals(PREFIX, "/../outside.txt")),
        ("request", hostile_paths.requests_for(PREFIX + TOKEN)),
        ("no token", hostile_paths.tokens_that_are_none(PREFIX))) for one in ones]


class Place:
    """A webroot with a token in it and secrets around it."""

    def __init__(self, folder):
        self.folder = folder
        self.webroot = folder / "webroot"
        self.tokens = self.webroot / ".well-known" / "acme-challenge"
        self.tokens.mkdir(parents=True)
        (self.tokens / TOKEN).write_text(AUTHORIZATION + "\n")
        for path in (self.webroot / "secret.txt", folder / "outside.txt", self.tokens / "secret",
                     self.webroot / ".well-known" / "secret", self.tokens / "secret.txt", self.tokens / ".htaccess"):
            path.write_text(SECRET)
        other = folder / "other" / ".well-known" / "acme-challenge"
        other.mkdir(parents=True)
        (other / TOKEN).write_text(OUTSIDE)
        (other / "secret").write_text(SECRET)
        self.other = folder / "other"


@pytest.fixture(scope="module", name="place")
def _place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("place"))


@pytest.fixture(scope="module", name="far")
def _far():
    """The upstream, where nothing may arrive."""
    with Origin(lambda handler: handler.answer(200, f"{SECRET} {AUTHORIZATION} {handler.path}".encode())) as origin:
        yield origin


@pytest.fixture(scope="module", name="genkan")
def _genkan(ca, place, far, tmp_path_factory):
    folder = tmp_path_factory.mktemp("guard")
    lineage = Lineage(folder, "a.test", ca.issue("a.test"))
    config = CONFIG.format(webroot=place.webroot, lineage=lineage.path, origin=far.url)
    with Genkan(folder, config) as genkan:
        yield genkan


def ask(genkan, context, request, method=b"GET"):
    """(status, everything that came back) of one request on a connection of its own."""
    port = genkan.tls_port if context else genkan.plain_port
    with Connection(port, context) as connection:
        connection.send(request)
        response = connection.response(method.decode("latin-1"))
        return response.status, repr(response.headers).encode() + response.body


HOSTS = (f"n{number}.test" for number in itertools.count())


def token_answer(genkan, token=TOKEN, host=None):
    """By a host of its own unless told: one host is answered 20 times a second."""
    with Connection(genkan.plain_port) as connection:
        response = connection.get(PREFIX + token, host or next(HOSTS), "Connection: close\r\n")
        return response.status, response.body.decode("latin-1")


def test_the_table_is_long_enough():
    distinct = {one.request("a.test") for _, one in table()}
    assert len(distinct) >= 150, len(distinct)


@pytest.mark.parametrize("is_tls", [False, True], ids=["plain", "tls"])
def test_hostile_paths_leak_nothing_and_reach_nobody(genkan, far, ca, is_tls):
    context = tls_context(ca.root) if is_tls else None
    wrong, same, other = [], set(), set()
    for group, one in table():
        before = len(far.requests)
        status, back = ask(genkan, context, one.request("a.test", close=True), one.method)
        has_reached = len(far.requests) > before
        if has_reached:
            other.add(one.name)
        elif status == 200:
            same.add(one.name)
            if one.name in SAME_PATH and AUTHORIZATION.encode() in back:
                continue
        what = f"{group}: {one.name}: {one.method!r} {one.target[:100]!r}: {status}"
        if has_reached and one.name not in OTHER_PATH:
            wrong.append(what + ", reached the upstream")
        elif not has_reached and (SECRET.encode() in back or b"S" * 43 in back):
            wrong.append(what + ", leaked")
        elif not has_reached and status not in (400, 404, 405, 414, 501):
            wrong.append(what)
    assert wrong == []
    assert same <= SAME_PATH and other <= OTHER_PATH
    assert token_answer(genkan) == (200, AUTHORIZATION), "and the honest one is answered"


def test_over_http2_too(genkan, far, ca):
    before = len(far.requests)
    for path in (PREFIX + "..%2f..%2fsecret.txt", PREFIX + TOKEN + "?x", PREFIX + TOKEN + "/", PREFIX + "a" * 4096,
                 "/.well-known%2facme-challenge/" + TOKEN, "/%2e%2e/.well-known/acme-challenge/" + TOKEN):
        done = curl(genkan, "a.test", path, "--http2", "--path-as-is", "-w", "%{http_code} %{http_version}", ca=ca.root)
        assert done.stdout.endswith("404 2"), (path, done.stdout)
        assert SECRET not in done.stdout
    for args in (("-d", "x"), ("-X", "POST", "-d", ""), ("-X", "DELETE"), ("-T", os.devnull)):
        done = curl(genkan, "a.test", PREFIX + TOKEN, "--http2", *args, "-w", "%{http_code} %{http_version}", ca=ca.root)
        assert done.stdout.endswith("404 2"), (args, done.stdout)
    done = curl(genkan, "a.test", PREFIX + TOKEN, "--http2", ca=ca.root)
    assert done.stdout == AUTHORIZATION
    assert len(far.requests) == before


def test_only_regular_files_in_the_folder_itself_are_read(genkan, place, far):
    before = len(far.requests)
    made = []

    def put(name, make):
        make(place.tokens / name)
        made.append(place.tokens / name)

    put("link", lambda path: path.symlink_to(place.folder / "outside.txt"))
    put("linked-token", lambda path: path.symlink_to(place.other / ".well-known" / "acme-challenge" / TOKEN))
    put("link-to-itself", lambda path: path.symlink_to(path))
    put("link-to-passwd", lambda path: path.symlink_to("/etc/passwd"))
    put("link-to-zero", lambda path: path.symlink_to("/dev/zero"))
    put("fifo", os.mkfifo)
    put("folder", lambda path: path.mkdir())
    put("large", lambda path: path.write_text("large." + "T" * 2000))
    put("huge", lambda path: path.write_bytes(b"x" * (1 << 20)))
    put("empty", lambda path: path.write_text(""))
    put("other", lambda path: path.write_text(AUTHORIZATION))
    try:
        for path in made + [place.tokens / "secret"]:
            status, body = token_answer(genkan, path.name)
            assert status == 404 and SECRET not in body and "root:" not in body, (path.name, status, body)
    finally:
        for path in made:
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    assert len(far.requests) == before


def test_a_fifo_holds_up_nobody(genkan, place):
    os.mkfifo(place.tokens / "fifo")
    try:
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            # A host may ask 20 times a second; these are many hosts.
            fifos = [pool.submit(token_answer, genkan, "fifo", f"h{i}.test") for i in range(48)]
            tokens = [pool.submit(token_answer, genkan, TOKEN, f"h{i}.test") for i in range(48)]
            assert {one.result(60)[0] for one in fifos} == {404}
            assert {one.result(60) for one in tokens} == {(200, AUTHORIZATION)}
    finally:
        (place.tokens / "fifo").unlink()


def test_folders_that_become_symlinks_while_it_runs(genkan, place):
    """What is swapped in has a file of the right form; not once may it be served."""
    real = place.webroot / ".well-known"
    aside, inside = place.webroot / ".aside", place.other / ".well-known"
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            real.rename(aside)
            real.symlink_to(inside)
            real.unlink()
            aside.rename(real)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        seen = {token_answer(genkan, TOKEN, f"h{i}.test") for i in range(300)}
        # What a link points to while a request is on its way is a secret at most of another form.
        seen |= {token_answer(genkan, "secret", f"i{i}.test") for i in range(100)}
    finally:
        stop.set()
        swapper.join()
    assert {(status, body) for status, body in seen if status == 200} <= {(200, AUTHORIZATION)}
    assert {status for status, _ in seen} <= {200, 404}
    assert all(SECRET not in body and OUTSIDE not in body for _, body in seen)
    assert token_answer(genkan) == (200, AUTHORIZATION)


def test_the_webroot_itself_becomes_a_symlink(genkan, place):
    aside = place.folder / "webroot-aside"
    place.webroot.rename(aside)
    try:
        place.webroot.symlink_to(place.other)
        for token in ("secret", TOKEN):
            status, body = token_answer(genkan, token)
            assert status == 404 and SECRET not in body and OUTSIDE not in body
    finally:
        place.webroot.unlink()
        aside.rename(place.webroot)
    eventually(lambda: token_answer(genkan) == (200, AUTHORIZATION), what="the token is back")


def test_who_answered_stands_in_both_logs(genkan, place):
    assert token_answer(genkan, TOKEN, "log.test") == (200, AUTHORIZATION)
    assert token_answer(genkan, "secret", "log.test")[0] == 404
    eventually(lambda: f"token={TOKEN} host=log.test client=127.0.0.1 by=webroot:{place.webroot}" in genkan.log(),
               what="what answered")

    def lines():
        text = (place.folder / "access.json").read_text()
        # What is refused before its head is whole has no host.
        return {(one["status"], one.get("answered_by"), one.get("error"))
                for one in map(json.loads, text.splitlines()) if one.get("host") == "log.test"}

    eventually(lambda: len(lines()) == 2, what="both are written down")
    by = f"acme_challenge:webroot:{place.webroot}"
    answered, refused = sorted(lines(), key=lambda line: line[0])
    assert answered[:2] == (200, by)
    assert refused == (404, "acme_challenge", f"webroot:{place.webroot}: wrong length"), "why it was no answer"
