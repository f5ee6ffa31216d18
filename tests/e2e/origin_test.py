"""A legacy origin behind genkan: Apache httpd with a PHP application that thinks it is on http."""

import concurrent.futures
import hashlib
import json
import re
import time

import pytest

from support.apache import Apache
from support.ca import Lineage
from support.clients import curl
from support.genkan import LISTENERS, Genkan
from support.wire import Connection, tls_context

INDEX = """<?php
header('Content-Type: application/json');
setcookie('session', 'abc', ['path' => '/', 'httponly' => true]);
setcookie('theme', 'dark', ['path' => '/', 'secure' => true]);
echo json_encode(['method' => $_SERVER['REQUEST_METHOD'], 'host' => $_SERVER['HTTP_HOST'],
                  'proto' => $_SERVER['HTTP_X_FORWARDED_PROTO'] ?? null,
                  'for' => $_SERVER['HTTP_X_FORWARDED_FOR'] ?? null, 'query' => $_GET, 'form' => $_POST,
                  'md5' => isset($_FILES['file']) ? md5_file($_FILES['file']['tmp_name']) : null]);
"""
LOGIN = """<?php
header('Location: http://' . $_SERVER['HTTP_HOST'] . '/index.php?welcome=1', true, 302);
"""
REFRESH = """<?php
header('Refresh: 5; url=http://' . $_SERVER['HTTP_HOST'] . '/index.php');
echo 'wait';
"""
AWAY = """<?php
header('Location: http://elsewhere.test/', true, 302);
"""
STREAM = """<?php
for ($i = 0; $i < 2000; ++$i) { echo str_repeat(chr(97 + $i % 26), 1024); flush(); }
"""
PAGES = {"index.php": INDEX, "login.php": LOGIN, "refresh.php": REFRESH, "away.php": AWAY, "stream.php": STREAM,
         "manual/index.html": "<title>manual</title>\n"}

CONFIG = LISTENERS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{origin}"
rewrite      = {{ location = true, cookies_secure = true }}
"""


@pytest.fixture(scope="module", name="apache")
def _apache():
    # A second of keep-alive: shorter than anybody's idle timeout, so closes and requests keep crossing.
    with Apache(PAGES, keep_alive=1) as apache:
        yield apache


@pytest.fixture(scope="module", name="genkan")
def _genkan(ca, apache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("origin")
    lineage = Lineage(folder, "a.test", ca.issue("a.test"))
    with Genkan(folder, CONFIG.format(lineage=lineage.path, origin=apache.url)) as genkan:
        yield genkan


def fields(text):
    return [line.partition(": ")[::2] for line in text.replace("\r\n", "\n").splitlines() if ": " in line]


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_php_page_sees_the_client_behind_the_proxy(genkan, ca, flag):
    done = curl(genkan, "a.test", "/?a=1&b=%C3%A9", flag, ca=ca.root, check=True)
    page = json.loads(done.stdout)
    assert page["method"] == "GET"
    assert page["host"] == f"a.test:{genkan.tls_port}"
    assert (page["proto"], page["for"]) == ("https", "127.0.0.1")
    assert page["query"] == {"a": "1", "b": "é"}


@pytest.mark.parametrize("flag", ["--http1.1", "--http2"])
def test_a_form_and_a_file_reach_the_page(genkan, ca, tmp_path, flag):
    done = curl(genkan, "a.test", "/index.php", flag, "-d", "name=J%C3%BCrgen", "-d", "x=1", ca=ca.root, check=True)
    assert json.loads(done.stdout)["form"] == {"name": "Jürgen", "x": "1"}
    file = tmp_path / "file"
    file.write_bytes(b"0123456789abcdef" * 65536)
    done = curl(genkan, "a.test", "/index.php", flag, "-F", f"file=@{file}", ca=ca.root, check=True)
    page = json.loads(done.stdout)
    assert (page["method"], page["md5"]) == ("POST", hashlib.md5(file.read_bytes()).hexdigest())


@pytest.mark.parametrize("path, field, value", [
    ("/login.php", "location", "https://{authority}/index.php?welcome=1"),
    ("/refresh.php", "refresh", "5; url=https://{authority}/index.php"),
    ("/manual", "location", "https://{authority}/manual/"),  # Apache's own, from mod_dir
    ("/away.php", "location", "http://elsewhere.test/")])
def test_a_redirect_to_http_stays_on_https_where_it_is_ours(genkan, ca, path, field, value):
    done = curl(genkan, "a.test", path, "-D", "-", "-o", "/dev/null", ca=ca.root, check=True)
    got = [text for name, text in fields(done.stdout) if name.lower() == field]
    assert got == [value.format(authority=f"a.test:{genkan.tls_port}")]


def test_a_redirect_can_be_followed_to_its_page(genkan, ca):
    done = curl(genkan, "a.test", "/login.php", "-L", "--proto-redir", "=https", ca=ca.root, check=True)
    assert json.loads(done.stdout)["query"] == {"welcome": "1"}


def test_every_cookie_is_secure_once(genkan, ca):
    done = curl(genkan, "a.test", "/", "-D", "-", "-o", "/dev/null", ca=ca.root, check=True)
    cookies = [text for name, text in fields(done.stdout) if name.lower() == "set-cookie"]
    assert len(cookies) == 2
    for cookie in cookies:
        assert len(re.findall(r"; *secure\b", cookie, re.I)) == 1, cookie


@pytest.mark.parametrize("flag", ["--http1.0", "--http1.1", "--http2"])
def test_a_page_of_unknown_length_arrives_whole(genkan, ca, flag):
    done = curl(genkan, "a.test", "/stream.php", flag, ca=ca.root, check=True)
    assert len(done.stdout) == 2000 * 1024


def test_connections_that_apache_closes_cost_no_request(genkan, ca, apache):
    context = tls_context(ca.root)

    def client(number):
        """Ten requests with pauses around the second after which Apache closes what is idle."""
        answers = []
        with Connection(genkan.tls_port, context) as connection:
            for i in range(10):
                time.sleep(0.9 + 0.01 * ((number * 10 + i) % 20))
                if i % 2:
                    body = f"n={number}"
                    connection.send("POST /index.php HTTP/1.1\r\nHost: a.test\r\nContent-Length: "
                                    f"{len(body)}\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\n{body}")
                    response = connection.response()
                else:
                    response = connection.get("/index.php")
                answers.append((response.status, json.loads(response.body or b"{}").get("method")))
        return answers

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        everything = [answer for answers in pool.map(client, range(20)) for answer in answers]
    assert len(everything) == 200
    bad = [answer for answer in everything if answer[0] != 200]
    assert not bad, f"{len(bad)} of 200: {bad[:5]}\n{apache.error_log()}"
    assert sorted({method for _, method in everything}) == ["GET", "POST"]
