"""The filter modules in the real program: each by itself, all together over HTTP/1.1 and HTTP/2, with files that change
while it runs, and with htpasswd and fail2ban-regex as operators use them."""

import base64
import concurrent.futures
import json
import os
import re
import shutil
import socket
from pathlib import Path
from urllib.parse import unquote

import pytest

from support.apache import Apache
from support.ca import Lineage
from support.clients import curl, curl_status
from support.eventually import eventually, run
from support.file_servers import PhpServer
from support.genkan import LISTENERS, PLAIN, Genkan, genkan_command
from support.hostile_paths import spellings, tokens_that_are_none
from support.origin import Origin

SITE = """
[[site]]
names = ["a.test"]
upstream = "{url}"
{more}
modules = {modules}
"""


def site(url, modules, more=""):
    return SITE.format(url=url, modules=json.dumps(modules), more=more)


def secure_site(url, lineage, modules, more=""):
    return site(url, modules, f'certificates = ["{lineage.path}"]\nredirect_to_https = false\n{more}')


def htpasswd(path, *users, options=("-B", "-C", "4")):
    """The real program writes the file; users are (name, password)."""
    for number, (name, password) in enumerate(users):
        create = ["-c"] if number == 0 else []
        run(["htpasswd", "-b", *options, *create, path, name, password], check=True)


def replace(path, text):
    """In one step: a reader has the old text or the new one, never the beginning of it."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text)
    fresh.rename(path)


def fields_of(origin):
    return dict(origin.requests[-1]["headers"])


def log_lines(genkan, event):
    return [line for line in genkan.log_path.read_text(errors="replace").splitlines() if f" {event} " in line]


# ---- ip_filter


def test_a_list_of_100000_networks_changes_without_a_reload(tmp_path, origin):
    many = "".join(f"{20 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.0/25\n" for i in range(100_000))
    listed = tmp_path / "deny.txt"
    listed.write_text(many)
    config = 'trusted_proxies = ["127.0.0.1"]\n' + PLAIN + site(origin.url, ["lists"]) + (
        f'[module.lists]\nuse = "ip_filter"\ndeny_files = ["{listed}"]\n')
    with Genkan(tmp_path, config) as genkan:
        def status(client):
            return curl_status(genkan, "a.test", "/", "-H", f"X-Forwarded-For: {client}", tls=False)

        assert status("192.0.2.1") == 200
        assert status("20.0.0.1") == 403
        assert status("20.0.0.129") == 200
        assert status("::ffff:20.0.0.1") == 403
        generation = genkan.status()["generation"]

        # As a cautious script does it, while requests go on; none of them fails.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            new = tmp_path / "new.txt"
            new.write_text(many + "192.0.2.0/24\n")
            asked = pool.submit(lambda: [status("198.51.100.1") for _ in range(30)])
            new.rename(listed)
            eventually(lambda: status("192.0.2.1") == 403, longest=60, what="the longer list")
            assert set(asked.result()) == {200}

        # A broken one changes nothing but the log.
        replace(listed, "192.0.2.0/24\n# remark\n300.1.2.3\n")
        eventually(lambda: log_lines(genkan, "module_file_refused"), longest=60, what="the complaint")
        assert f"{listed}:3: " in log_lines(genkan, "module_file_refused")[0]
        assert status("20.0.0.1") == 403 and status("192.0.2.1") == 403
        replace(listed, "198.51.100.0/24\n")
        eventually(lambda: status("198.51.100.1") == 403, longest=60, what="the good list")
        assert status("20.0.0.1") == 200
        assert genkan.status()["generation"] == generation


def test_a_broken_list_is_an_error_at_the_start(tmp_path):
    listed = tmp_path / "deny.txt"
    listed.write_text("10.0.0.0/8\nnonsense\n")
    config = tmp_path / "genkan.toml"
    config.write_text('[[listener]]\naddress = "127.0.0.1:0"\n[[site]]\nnames = ["a.test"]\n'
                      'upstream = "http://127.0.0.1:1"\nmodules = ["lists"]\n'
                      f'[module.lists]\nuse = "ip_filter"\ndeny_files = ["{listed}"]\n')
    done = genkan_command("check", "-c", config)
    assert done.returncode == 2
    assert f'genkan.toml:9:1: "deny_files": {listed}:2: "nonsense" is no network' in done.stdout + done.stderr


# ---- rate_limit


def test_the_rate_holds_over_workers_connections_and_a_reload(tmp_path, origin):
    config = PLAIN + site(origin.url, ["limit"]) + '[module.limit]\nuse = "rate_limit"\nrate = "20/d"\n'
    with Genkan(tmp_path, config, workers=4) as genkan:
        def ask(_):
            return curl_status(genkan, "a.test", "/", tls=False)

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            statuses = list(pool.map(ask, range(40)))
        # Each on a connection of its own, wherever the kernel put it.
        assert statuses.count(200) == 20 and statuses.count(429) == 20, statuses
        assert genkan.reload().returncode == 0
        assert ask(0) == 429, "a reload is no way round it"
        refused = curl(genkan, "a.test", "/", "-i", tls=False).stdout
        assert re.search(r"(?i)^retry-after: \d+\r?$", refused, re.M), refused
        # Another instance has its own count.
        genkan.write_config(config.replace("20/d", "0"))
        assert genkan.reload().returncode == 0
        assert ask(0) == 429


# ---- basic_auth


def test_real_htpasswd_files(tmp_path, origin, ca):
    users = tmp_path / "htpasswd"
    htpasswd(users, ("alice", "pässword"), ("bob", "b:o b"))
    run(["htpasswd", "-b", "-2", users, "carol", "sha256"], check=True)
    run(["htpasswd", "-b", "-5", users, "dave", "sha512"], check=True)
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    config = LISTENERS + secure_site(origin.url, lineage, ["auth"]) + f"""
[module.auth]
use = "basic_auth"
file = "{users}"
realm = "The office"
strip_authorization = true
user_header = "X-Remote-User"
[access_log]
output = "{tmp_path}/access.json"
format = "json"
"""
    with Genkan(tmp_path, config) as genkan:
        def status(user, *more):
            return curl_status(genkan, "a.test", "/", "-u", user, *more, ca=ca.root)

        refused = curl(genkan, "a.test", "/", "-i", ca=ca.root).stdout
        assert "401" in refused.splitlines()[0]
        assert re.search(r'(?im)^www-authenticate: Basic realm="The office", charset="UTF-8"', refused)
        for user in ("alice:pässword", "bob:b:o b", "carol:sha256", "dave:sha512"):
            assert status(user) == 200, user
            assert status(user, "--http1.1") == 200, user
            assert fields_of(origin)["x-remote-user"] == user.split(":")[0]
            assert "authorization" not in fields_of(origin)
        for user in ("alice:password", "bob:b", "eve:x", "alice:", ":", "dave:sha256"):
            assert status(user) == 401, user
        assert status("alice:pässword", "-H", "X-Remote-User: root") == 200
        assert [value for name, value in origin.requests[-1]["headers"] if name == "x-remote-user"] == ["alice"]

        # The file changes while it runs: a password, and a user who is gone.
        htpasswd(users, ("alice", "other"))
        eventually(lambda: status("alice:other") == 200, longest=60, what="the new password")
        assert status("alice:pässword") == 401
        assert status("bob:b:o b") == 401
        # Apache's own MD5 is none of libcrypt's: the old file stays, and the log says why.
        run(["htpasswd", "-b", "-m", users, "mallory", "x"], check=True)
        # The program writes the file in place, so that another complaint may come first, about its beginning alone.
        eventually(lambda: [line for line in log_lines(genkan, "module_file_refused")
                            if f"{users}:2: " in line and "$apr1$" in line], what="the complaint")
        assert status("alice:other") == 200
    lines = [json.loads(line) for line in (tmp_path / "access.json").read_text().splitlines()]
    assert {line.get("user") for line in lines if line["status"] == 200} == {"alice", "bob", "carol", "dave"}
    assert all("user" not in line for line in lines if line["status"] == 401)


def test_a_hash_is_paid_once_for_a_page_of_many_parts(tmp_path, origin, ca):
    users = tmp_path / "htpasswd"
    htpasswd(users, ("alice", "secret"), options=("-B", "-C", "12"))
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    config = LISTENERS + secure_site(origin.url, lineage, ["auth"]) + (
        f'[module.auth]\nuse = "basic_auth"\nfile = "{users}"\n')
    with Genkan(tmp_path, config, workers=1) as genkan:
        def cpu():
            return sum(map(int, open(f"/proc/{genkan.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))

        before = cpu()
        assert curl_status(genkan, "a.test", "/", "-u", "alice:secret", ca=ca.root) == 200
        one = cpu() - before
        before = cpu()
        url = genkan.url("a.test", "/[1-50]")
        done = run(["curl", "-sS", "--noproxy", "*", "-Z", "--resolve", f"a.test:{genkan.tls_port}:127.0.0.1",
                    "--cacert", ca.root, "-u", "alice:secret", "-o", "/dev/null", "-w", "%{http_code}\n", url],
                   longest=120)
        assert done.stdout.split() == ["200"] * 50
        # Fifty hashes would be fifty times the first.
        assert cpu() - before < 10 * max(one, 1), (one, cpu() - before)


# ---- headers


def test_ids_go_to_the_origin_the_client_and_the_log(tmp_path, origin):
    log = tmp_path / "access.json"
    config = PLAIN + site(origin.url, ["id"]) + (
        f'[module.id]\nuse = "request_id"\n[access_log]\noutput = "{log}"\nformat = "json"\n')
    with Genkan(tmp_path, config) as genkan:
        head = curl(genkan, "a.test", "/", "-i", "-H", "X-Request-ID: evil\" ] 404", "-H", "x_request_id: evil",
                    tls=False).stdout
        (got,) = re.findall(r"(?im)^x-request-id: ([0-9a-f]{32})\r?$", head)
        (sent,) = [value for name, value in origin.requests[-1]["headers"] if "request" in name]
        assert sent == got
        (line,) = eventually(lambda: log.read_text().splitlines(), what="the access log")
        assert json.loads(line)["request_id"] == got
        genkan.write_config('trusted_proxies = ["127.0.0.0/8"]\n' + config)
        assert genkan.reload().returncode == 0
        curl(genkan, "a.test", "/", "-H", "X-Request-ID: from-the-balancer", tls=False)
        assert fields_of(origin)["x-request-id"] == "from-the-balancer"
        curl(genkan, "a.test", "/", "-H", "X-Request-ID: evil <b>", tls=False)
        assert re.fullmatch("[0-9a-f]{32}", fields_of(origin)["x-request-id"])


def test_fields_are_rewritten_both_ways(tmp_path, ca):
    with Origin(lambda handler: handler.answer(200, b"ok", [("X-Powered-By", "PHP/5.3"), ("X-Debug-Sql", "1"),
                                                             ("Server-Timing", "x")])) as origin:
        lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
        config = LISTENERS + secure_site(origin.url, lineage, ["rewrite"]) + """
[module.rewrite]
use = "header_rewrite"
set_request = ["X-Real-IP: {client}", "X-Url: {scheme}://{host}{target}", "X-Tls: {tls_version} {sni}"]
remove_request = ["X-Internal-*"]
set_response = ["Cache-Control: no-store"]
remove_response = ["X-Powered-By", "X-Debug-*"]
"""
        with Genkan(tmp_path, config) as genkan:
            for version in ("--http1.1", "--http2"):
                head = curl(genkan, "a.test", "/a?b", "-i", version, "-H", "X-Real-IP: 1.2.3.4", "-H",
                            "X-Internal-Admin: 1", "-H", "x_internal_admin: 1", ca=ca.root).stdout.lower()
                assert "cache-control: no-store" in head and "server-timing: x" in head
                assert "x-powered-by" not in head and "x-debug" not in head
                fields = fields_of(origin)
                assert fields["x-real-ip"] == "127.0.0.1"
                assert fields["x-url"].endswith("/a?b") and fields["x-url"].startswith("https://a.test")
                assert fields["x-tls"] == "TLSv1.3 a.test"
                assert not any("internal" in name for name in fields)


def client_certificate(folder, name):
    """A person's certificate of an authority of its own: (authority, certificate, key)."""
    authority, key, cert = folder / "people.pem", folder / "p.key", folder / "p.pem"
    new = ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    run([*new, "-x509", "-days", "2", "-subj", "/CN=People", "-keyout", folder / "people.key", "-out", authority],
        check=True)
    run([*new, "-subj", name, "-keyout", key, "-out", folder / "p.csr"], check=True)
    run(["openssl", "x509", "-req", "-in", folder / "p.csr", "-CA", authority, "-CAkey", folder / "people.key",
         "-set_serial", "0x1a2b", "-days", "2", "-out", cert], check=True)
    return authority, cert, key


# Every spelling that CGI, PHP or a careless framework might take for ours.
SPELLINGS = ["X-SSL-Client-Verify", "x-ssl-client-verify", "X_SSL_Client_Verify", "X-SSL_Client-Verify",
             "X.SSL.Client.Verify", "X-SSL-Client.Verify", "X|SSL|Client|Verify", "X-SSL-Client-Subject",
             "Client-Cert", "client_cert"]


@pytest.mark.parametrize("underscores", ["drop", "pass"])
def test_the_origin_hears_of_the_clients_certificate_from_us_alone(tmp_path, origin, ca, underscores):
    authority, cert, key = client_certificate(tmp_path, "/O=Exämple/CN=Alice")
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    config = LISTENERS + secure_site("app", lineage, ["person"]) + f"""
[site.tls.client_certificates]
verify = "request"
ca = ["{authority}"]
[module.person]
use = "client_cert_headers"
certificate = "pem"
[upstream.app]
servers = ["127.0.0.1:{origin.port}"]
underscore_headers = "{underscores}"
"""
    lies = [part for name in SPELLINGS for part in ("-H", f"{name}: SUCCESS")]
    with Genkan(tmp_path, config) as genkan:
        def sent(*args, tls=True):
            assert curl_status(genkan, "a.test", "/", *args, tls=tls, ca=ca.root) == 200
            folded = [(re.sub("[^a-z0-9]", "-", name), value) for name, value in origin.requests[-1]["headers"]]
            return [(name, value) for name, value in folded if name.startswith(("x-ssl", "client-cert"))]

        for version in ("--http1.1", "--http2"):
            assert sent(version, *lies) == [("x-ssl-client-verify", "NONE")]
            fields = dict(sent(version, *lies, "--cert", cert, "--key", key))
            assert fields["x-ssl-client-verify"] == "SUCCESS"
            assert fields["x-ssl-client-subject"].startswith("CN=Alice,O=")
            assert fields["x-ssl-client-issuer"] == "CN=People"
            assert fields["x-ssl-client-serial"] == "1A2B"
            der = run(["openssl", "x509", "-in", cert, "-noout", "-fingerprint", "-sha256"], check=True).stdout
            assert fields["x-ssl-client-fingerprint"] == der.strip().split("=")[1].replace(":", "").lower()
            assert unquote(fields["x-ssl-client-cert"]) == cert.read_text()
            assert "client-cert" not in fields
        assert sent(*lies, tls=False) == [("x-ssl-client-verify", "NONE")]


def test_php_sees_none_of_the_clients_spellings(tmp_path):
    """PHP makes HTTP_X_SSL_CLIENT_VERIFY of several names; mod_php and the built-in server each in their own way."""
    page = {"index.php": "<?php foreach ($_SERVER as $k => $v) if (strpos($k, 'HTTP_') === 0) echo \"$k=$v\\n\";"}
    lies = [part for name in [*SPELLINGS, "X.Forwarded.For", "X_Forwarded_For", "X-Forwarded.Proto"]
            for part in ("-H", f"{name}: lie")]
    for server in (Apache, PhpServer):
        with server(page) as origin:
            config = PLAIN + site("app", ["person"]) + (
                '[module.person]\nuse = "client_cert_headers"\n[upstream.app]\n'
                f'servers = ["127.0.0.1:{origin.port}"]\nunderscore_headers = "pass"\n')
            folder = tmp_path / server.__name__
            folder.mkdir()
            with Genkan(folder, config, workers=1) as genkan:
                seen = curl(genkan, "a.test", "/index.php", *lies, tls=False).stdout
                assert "HTTP_X_SSL_CLIENT_VERIFY=NONE" in seen, seen
                assert "HTTP_X_FORWARDED_FOR=127.0.0.1" in seen and "HTTP_X_FORWARDED_PROTO=http" in seen, seen
                assert "lie" not in seen, seen


# ---- all together


def test_all_of_them_together_through_a_reload(tmp_path, origin, ca):
    users, listed = tmp_path / "htpasswd", tmp_path / "deny.txt"
    htpasswd(users, ("alice", "secret"))
    listed.write_text("203.0.113.0/24\n")
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    webroot = tmp_path / "webroot"
    token = "t" * 43
    challenge = webroot / ".well-known/acme-challenge"
    challenge.mkdir(parents=True)
    (challenge / token).write_text(f"{token}.{'k' * 43}")
    modules = ["id", "https", "lists", "limit", "shut", "auth", "person", "rewrite", "headers"]
    config = 'trusted_proxies = ["127.0.0.1"]\n' + LISTENERS + secure_site(origin.url, lineage, modules) + f"""
[acme_challenge]
webroot = ["{webroot}"]
[module.id]
use = "request_id"
[module.https]
use = "redirect_https"
[module.lists]
use = "ip_filter"
deny_files = ["{listed}"]
[module.limit]
use = "rate_limit"
rate = "1000/m"
[module.shut]
use = "url_filter"
deny = ["/admin/*"]
deny_dotfiles = true
[module.auth]
use = "basic_auth"
file = "{users}"
[module.person]
use = "client_cert_headers"
[module.rewrite]
use = "header_rewrite"
set_request = ["X-User: {{user}}", "X-Trace: {{request_id}}"]
[module.headers]
use = "security_headers"
"""
    with Genkan(tmp_path, config) as genkan:
        def ask(path="/", *args, tls=True, user="alice:secret"):
            who = ["-u", user] if user else []
            done = curl(genkan, "a.test", path, "-i", *who, *args, tls=tls, ca=ca.root)
            return int(done.stdout.split()[1]), done.stdout.lower()

        def check():
            for version in ("--http1.1", "--http2"):
                status, head = ask("/x", version)
                assert status == 200 and "strict-transport-security" in head
                fields = fields_of(origin)
                assert fields["x-user"] == "alice" and fields["x-ssl-client-verify"] == "NONE"
                assert fields["x-trace"] == fields["x-request-id"] and fields["x-request-id"] in head
                assert ask("/x", version, user=None)[0] == 401
                assert ask("/admin/x", version)[0] == 403
                assert ask("/y/%2e%2e/admin/x", version, "--path-as-is")[0] == 403
                assert ask("/admin%2fx", version, "--path-as-is")[0] == 400
                assert ask("/x", version, "-H", "X-Forwarded-For: 203.0.113.9")[0] == 403
                # In front of them all, whoever asks: the challenge.
                for tls in (True, False):
                    for client in ("203.0.113.9", "192.0.2.1"):
                        status, head = ask(f"/.well-known/acme-challenge/{token}", version, "-H",
                                           f"X-Forwarded-For: {client}", user=None, tls=tls)
                        assert status == 200 and head.endswith(f"{token}.{'k' * 43}")
            assert ask("/x", tls=False)[0] == 301

        check()
        assert genkan.reload().returncode == 0
        check()
        genkan.write_config(config.replace("1000/m", "0/s"))
        assert genkan.reload().returncode == 0
        assert ask("/x")[0] == 429
        assert ask(f"/.well-known/acme-challenge/{token}", user=None)[0] == 200


# ---- fail2ban


def fail2ban_regex(log, name):
    """Whom the filter takes for guilty, once for each line, by the real fail2ban-regex."""
    conf = Path(os.environ["GENKAN_SOURCE_DIR"]) / "conf/fail2ban/filter.d"
    done = run(["fail2ban-regex", "-o", "ip", log, conf / name], longest=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("log_format", ["combined", "json"])
def test_fail2ban_catches_scanners_and_never_a_challenge(tmp_path, origin, log_format):
    users = tmp_path / "htpasswd"
    htpasswd(users, ("alice", "secret"))
    log = tmp_path / "access.log"
    config = PLAIN + site(origin.url, ["shut"]) + f"""
  [[site.route]]
  path = "/private"
  modules = ["auth"]
[module.shut]
use = "url_filter"
deny = ["/wp-*"]
deny_dotfiles = true
allow = ["/.well-known/*"]
[module.auth]
use = "basic_auth"
file = "{users}"
[access_log]
output = "{log}"
format = "{log_format}"
"""
    injections = ['x" 404 0 "-" "-"', "127.9.9.9 - - [25/Nov/2026:00:00:00 +0000] \"GET /wp-login.php HTTP/1.1\" 404 1",
                  '","status":404,"client":"127.9.9.9"', "<HOST>", "\\n127.9.9.9 - - ["]
    with Genkan(tmp_path, config, workers=1) as genkan:
        def ask(source_address, path, user=None, method="GET", **fields):
            if user:
                fields["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
            head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
            request = f"{method} {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{head}\r\n"
            with socket.create_connection(("127.0.0.1", genkan.plain_port), timeout=120,
                                          source_address=(source_address, 0)) as client:
                client.sendall(request.encode("latin-1"))
                while client.recv(65536):
                    pass

        for path in ("/wp-login.php", "/.env", "/.git/config", "/wp-admin%2fx", "/a%00"):
            ask("127.0.0.11", path)
        for user in ("alice:guess", "root:root", "admin:"):
            ask("127.0.0.12", "/private", user)
        ask("127.0.0.13", "/")
        ask("127.0.0.13", "/private", "alice:secret")
        # A challenge, and all that can be asked below its path.
        challenge = "/.well-known/acme-challenge/"
        ask("127.0.0.14", challenge + "t" * 43)
        for one in tokens_that_are_none(challenge) + [s for s in spellings(challenge + "token") if
                                                     s.target.startswith(challenge.encode())]:
            ask("127.0.0.14", one.target.decode("latin-1"))
        ask("127.0.0.14", challenge + "x", method="POST", Content_Length="0")
        # Somebody who would like others to be banned.
        for text in injections:
            ask("127.0.0.15", "/", User_Agent=text, Referer=text, X_Forwarded_For=text)
            ask("127.0.0.15", "/?" + re.sub(r"[^!-~]", "+", text))
            ask("127.0.0.15", "/private", f"{text}:x")

        def is_written():
            return log.exists() and log.read_text().count("127.0.0.15") >= 3 * len(injections)

        eventually(is_written, what="the access log")
    scans = fail2ban_regex(log, "genkan-scan.conf")
    assert scans.count("127.0.0.11") == 5, scans
    assert set(scans) == {"127.0.0.11"}, scans
    guesses = fail2ban_regex(log, "genkan-auth.conf")
    assert guesses.count("127.0.0.12") == 3, guesses
    # Whoever guesses with strange names is the one who guesses.
    assert guesses.count("127.0.0.15") == len(injections), guesses
    assert set(guesses) == {"127.0.0.12", "127.0.0.15"}, guesses


def test_the_jails_are_ones_that_fail2ban_takes(tmp_path):
    """fail2ban's own reading of Debian's configuration with ours put into it."""
    shutil.copytree("/etc/fail2ban", tmp_path / "fail2ban")
    conf = Path(os.environ["GENKAN_SOURCE_DIR"]) / "conf/fail2ban"
    shutil.copytree(conf, tmp_path / "fail2ban", dirs_exist_ok=True)
    log = tmp_path / "access.log"
    log.write_text("")
    jail = tmp_path / "fail2ban/jail.d/genkan.conf"
    jail.write_text(jail.read_text().replace("/var/log/genkan/access.log", str(log)))
    # Debian's own jail wants a log that this machine need not have.
    for other in (tmp_path / "fail2ban/jail.d").iterdir():
        if other.name != "genkan.conf":
            other.unlink()
    done = run(["fail2ban-client", "-c", tmp_path / "fail2ban", "-d"], longest=60)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, most in (("genkan-scan", 30), ("genkan-auth", 10)):
        assert f"['add', '{name}', 'auto']" in done.stdout, done.stdout
        assert f"['set', '{name}', 'maxretry', {most}]" in done.stdout, done.stdout
        assert f"['set', '{name}', 'addlogpath', '{log}'" in done.stdout, done.stdout
        assert f"['start', '{name}']" in done.stdout, done.stdout
