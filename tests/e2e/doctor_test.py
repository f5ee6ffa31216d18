"""genkan doctor against what people really run into: nginx with the wrong files, servers that are none, certbot's traces.

Each answer is held against conf/doctor.schema.json, and what doctor says that a client prints is held against the client.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import jsonschema
import pytest

from support.ca import Lineage, OcspResponder
from support.eventually import run
from support.genkan import TLS, Genkan, binary, genkan_command
from support.nginx import Nginx
from support.topologies import Topology

SCHEMA = json.loads((Path(os.environ["GENKAN_SOURCE_DIR"]) / "conf/doctor.schema.json").read_text())
HOST = "localhost"


@pytest.fixture(name="topology", scope="module")
def _topology(tmp_path_factory):
    return Topology(tmp_path_factory.mktemp("topology"))


def doctor(*targets, store, lang="en", more=()):
    """The report and the exit code; also that both forms of the answer agree about that."""
    done = genkan_command("doctor", *targets, "--json", "--lang", lang, "--trust-store", str(store), *more, longest=120)
    report = json.loads(done.stdout)
    jsonschema.validate(report, SCHEMA)
    assert done.stderr == ""
    assert report["result"] == ["good", "findings", "cannot"][done.returncode]
    report["exit"] = done.returncode
    return report


def codes(report):
    return sorted({finding["code"] for target in report["targets"] for finding in target["findings"]})


def only(report):
    """The one finding of the one target."""
    assert len(report["targets"]) == 1
    findings = report["targets"][0]["findings"]
    assert len(findings) == 1, codes(report)
    return findings[0]


def said(finding, client, program):
    for one in finding["clients"]:
        for message in one["messages"]:
            if one["client"] == client and message["program"] == program:
                return message["message"]
    return None


def other_store(folder):
    other = Topology(folder)
    return other.store(other.root("Somebody Else"))


def at(server):
    return f"{HOST}:{server.port}"


def test_a_good_server_is_silence(ca, tmp_path):
    leaf = ca.issue(HOST)
    with Nginx(tmp_path, {HOST: (leaf.fullchain, leaf.key)}) as server:
        done = genkan_command("doctor", at(server), "--trust-store", str(ca.root))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        report = doctor(at(server), store=ca.root)
        assert report["exit"] == 0
        chain = report["targets"][0]["chains"][0]
        assert all(client["accepted"] for client in chain["clients"])
        assert {client["client"] for client in chain["clients"]} == {
            "modern", "no_aia", "openssl_1_0", "gnutls_2020", "old_android", "strict_order"}


def test_genkan_itself_is_silence_whatever_its_files(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, HOST)
    leaf = ca.issue(HOST)
    lineage.renew_with({"cert": leaf.cert + ca.root.read_text(), "chain": leaf.chain + leaf.cert, "privkey": leaf.key})
    config = f"""
[certificates]
trust_store = "{ca.root}"
{TLS}
[[site]]
names = ["{HOST}"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
"""
    with Genkan(tmp_path, config) as genkan:
        done = genkan_command("doctor", f"{HOST}:{genkan.tls_port}", "--trust-store", str(ca.root))
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_the_leaf_alone_is_the_letter_of_the_story(topology, tmp_path):
    root = topology.root("Story Root")
    middle = topology.authority("Story Intermediate", root)
    leaf = topology.leaf(HOST, middle, more="authorityInfoAccess = caIssuers;URI:http://127.0.0.1:1/story.der\n")
    store = topology.store(root)
    with Nginx(tmp_path, {HOST: (leaf.pem, leaf.key)}) as server:
        report = doctor(at(server), store=store)
        finding = only(report)
        assert (report["exit"], finding["code"], finding["severity"]) == (1, "CHAIN_MISSING_INTERMEDIATE", "broken")
        # Browsers fetch it: that is why "it works here".
        failing = {one["client"] for one in finding["clients"]}
        assert "modern" not in failing and {"no_aia", "openssl_1_0", "gnutls_2020"} <= failing
        letter = finding["letter"]
        for line in ("cat server.crt intermediate.crt > fullchain.crt", "ssl_certificate ", "SSLCertificateChainFile",
                     "nginx -t && systemctl reload nginx", "genkan check && genkan reload", "apachectl graceful",
                     "curl -fsS -o intermediate.der http://127.0.0.1:1/story.der",
                     f"openssl s_client -connect {at(server)} -servername {HOST}", "Verify return code: 0 (ok)"):
            assert line in letter, letter

        # What it says that they print is what they print.
        curl = run(["curl", "--noproxy", "*", "--cacert", store, f"https://{at(server)}/"])
        assert said(finding, "no_aia", "curl") in curl.stderr
        s_client = run(["openssl", "s_client", "-connect", at(server), "-servername", HOST, "-CAfile", store], input="")
        assert said(finding, "no_aia", "openssl s_client") in s_client.stdout + s_client.stderr
        gnutls = run(["gnutls-cli", "--x509cafile", store, "-p", server.port, HOST], input="")
        assert said(finding, "gnutls_2020", "gnutls-cli") in gnutls.stdout + gnutls.stderr
        with pytest.raises(ssl.SSLCertVerificationError) as raised:
            with socket.create_connection(("127.0.0.1", server.port)) as plain:
                ssl.create_default_context(cafile=str(store)).wrap_socket(plain, server_hostname=HOST)
        assert said(finding, "no_aia", "Python") in str(raised.value)


def test_the_letter_in_japanese(topology, tmp_path):
    root = topology.root("Letter Root")
    leaf = topology.leaf(HOST, topology.authority("Letter Intermediate", root))
    with Nginx(tmp_path, {HOST: (leaf.pem, leaf.key)}) as server:
        finding = only(doctor(at(server), store=topology.store(root), lang="ja"))
        for text in ("件名: ", "お世話になっております", "中間証明書", "cat server.crt intermediate.crt > fullchain.crt",
                     "SSLCertificateChainFile", "よろしくお願いいたします", "curl: (60) SSL certificate problem"):
            assert text in finding["letter"], finding["letter"]
        done = genkan_command("doctor", at(server), "--lang", "ja", "--trust-store", str(topology.store(root)))
        assert "管理者に送る文面" in done.stdout and "中間証明書が送られていません" in done.stdout


def shuffled(t):
    root = t.root("Shuffle Root")
    upper = t.authority("Shuffle Upper", root)
    lower = t.authority("Shuffle Lower", upper)
    leaf = t.leaf(HOST, lower)
    return leaf.pem + upper.pem + lower.pem, leaf.key, [root]


def expired_intermediate(t):
    root = t.root("Old Root")
    middle = t.authority("Old Intermediate", root, days=880)
    leaf = t.leaf(HOST, middle)
    return leaf.pem + middle.pem, leaf.key, [root]


def wrong_name(t):
    root = t.root("Name Root")
    middle = t.authority("Name Intermediate", root)
    leaf = t.leaf("elsewhere.test", middle)
    return leaf.pem + middle.pem, leaf.key, [root]


def dst(t):
    """Autumn 2021: X1 as a root in the store, and cross-signed by a root that is over."""
    old = t.root("DST Root CA X3", days=990)
    x1 = t.root("ISRG Root X1")
    cross = t.cross("ISRG Root X1", old, days=890.0 + 2000)
    r3 = t.authority("R3", x1)
    leaf = t.leaf(HOST, r3)
    return leaf.pem + r3.pem + cross.pem, leaf.key, [x1, old]


def root_sent(t):
    root = t.root("Sent Root")
    middle = t.authority("Sent Intermediate", root)
    leaf = t.leaf(HOST, middle)
    return leaf.pem + middle.pem + root.pem, leaf.key, [root]


def leaf_twice(t):
    root = t.root("Twice Root")
    middle = t.authority("Twice Intermediate", root)
    leaf = t.leaf(HOST, middle)
    return leaf.pem + leaf.pem + middle.pem, leaf.key, [root]


def expired_leaf(t):
    root = t.root("Late Root")
    middle = t.authority("Late Intermediate", root)
    leaf = t.leaf(HOST, middle, starts=-100)
    return leaf.pem + middle.pem, leaf.key, [root]


def self_signed(t):
    leaf = t._make(HOST, None, -1, 90, f"subjectAltName = DNS:{HOST}\n", "self", "rsa")
    return leaf.pem, leaf.key, [t.root("Unused Root")]


@pytest.mark.parametrize("make, code, fails, curl_fails", [
    (shuffled, "CHAIN_ORDER", {"strict_order"}, False),
    (expired_intermediate, "CHAIN_EXPIRED_INTERMEDIATE", {"modern", "no_aia", "openssl_1_0"}, True),
    (wrong_name, "NAME_MISMATCH", {"modern", "no_aia", "openssl_1_0", "old_android"}, True),
    (dst, "CHAIN_EXPIRED_CROSS_SIGN", {"openssl_1_0", "gnutls_2020"}, False),
    (root_sent, "CHAIN_ROOT_SENT", set(), False),
    (leaf_twice, "CHAIN_DUPLICATE", {"strict_order"}, False),
    (expired_leaf, "LEAF_EXPIRED", {"modern", "no_aia", "openssl_1_0"}, True),
    (self_signed, "SELF_SIGNED", {"modern", "no_aia"}, True),
], ids=lambda value: value.__name__ if callable(value) else None)
def test_each_mistake_has_its_own_code(topology, tmp_path, make, code, fails, curl_fails):
    chain, key, roots = make(topology)
    store = topology.store(*roots)
    with Nginx(tmp_path, {HOST: (chain, key)}) as server:
        report = doctor(at(server), store=store)
        assert report["exit"] == 1
        finding = only(report)
        assert finding["code"] == code
        assert fails <= {one["client"] for one in finding["clients"]}
        assert finding["cause"] in finding["letter"] and "genkan doctor " + at(server) in finding["letter"]
        curl = run(["curl", "-sS", "--noproxy", "*", "--cacert", store, f"https://{at(server)}/"])
        assert (curl.returncode == 60) == curl_fails, curl.stderr
        if curl_fails:
            assert said(finding, "no_aia", "curl") in curl.stderr


def test_the_forgotten_one_of_two_certificates_is_found(topology, tmp_path):
    root = topology.root("Pair Root")
    middle = topology.authority("Pair Intermediate", root)
    ecdsa = topology.leaf(HOST, middle)
    rsa = topology.leaf(HOST, middle, starts=-100, kind="rsa")
    with Nginx(tmp_path, {HOST: [(ecdsa.pem + middle.pem, ecdsa.key), (rsa.pem + middle.pem, rsa.key)]}) as server:
        report = doctor(at(server), store=topology.store(root))
        assert codes(report) == ["LEAF_EXPIRED"]
        assert sorted(chain["key"] for chain in report["targets"][0]["chains"]) == ["ecdsa", "rsa"]


def test_a_key_of_another_kind_is_an_alert_that_is_explained(topology, tmp_path):
    root = topology.root("Key Root")
    leaf = topology.leaf(HOST, root)
    other = topology.leaf(HOST, root, kind="rsa")
    # nginx starts with this pair and then fails every handshake.
    with Nginx(tmp_path, {HOST: (leaf.pem, other.key)}) as server:
        report = doctor(at(server), store=topology.store(root))
        finding = only(report)
        assert (report["exit"], finding["code"]) == (2, "SERVER_ALERT")
        assert "does not match" in finding["cause"] and "openssl pkey -in server.key -pubout" in finding["letter"]


def test_a_server_that_is_none_is_said_plainly(ca, tmp_path):
    with Nginx(tmp_path, {HOST: None}) as server:
        report = doctor(at(server), store=ca.root)
        assert (report["exit"], only(report)["code"]) == (2, "SERVER_NOT_TLS")
        assert "HTTP/1.1 400" in only(report)["cause"]
        port = server.port
    report = doctor(f"127.0.0.1:{port}", store=ca.root)
    assert (report["exit"], only(report)["code"]) == (2, "SERVER_REFUSED")
    report = doctor("no-such-host.invalid", store=ca.root)
    assert report["exit"] == 2
    assert only(report)["code"] in ("SERVER_NOT_FOUND", "SERVER_TIMEOUT")
    assert doctor("a b:443", store=ca.root)["exit"] == 2
    for wrong in (["doctor"], ["doctor", "a.test", "--lang", "fr"], ["doctor", "a.test", "--nonsense"]):
        assert genkan_command(*wrong).returncode == 64


def test_an_old_version_is_named(topology, tmp_path):
    root = topology.root("Version Root")
    leaf = topology.leaf(HOST, root, kind="rsa")
    more = "ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"
    with Nginx(tmp_path, {HOST: (leaf.pem, leaf.key)}, more=more) as server:
        report = doctor(at(server), store=topology.store(root))
        assert only(report)["code"] == "TLS_VERSION_OLD"
        assert "TLSv1.1" in only(report)["cause"]


def test_a_client_certificate_that_is_demanded_hides_nothing(topology, tmp_path):
    root = topology.root("Mutual Root")
    leaf = topology.leaf(HOST, topology.authority("Mutual Intermediate", root))
    more = f"ssl_verify_client on; ssl_client_certificate {root.cert_path};"
    with Nginx(tmp_path, {HOST: (leaf.pem, leaf.key)}, more=more) as server:
        report = doctor(at(server), store=topology.store(root))
        assert only(report)["code"] == "CHAIN_MISSING_INTERMEDIATE"
        assert any("client certificate" in note for note in report["targets"][0]["notes"])


def test_revoked_by_its_responder(ca, tmp_path):
    with OcspResponder(ca) as responder:
        good = ca.issue(HOST, ocsp_url=responder.url)
        bad = ca.issue(HOST, ocsp_url=responder.url)
        ca.revoke(bad)
        with Nginx(tmp_path / "good", {HOST: (good.fullchain, good.key)}) as server:
            report = doctor(at(server), store=ca.root)
            assert report["exit"] == 0
            assert report["targets"][0]["chains"][0]["revocation"] == "good (ocsp)"
        with Nginx(tmp_path / "bad", {HOST: (bad.fullchain, bad.key)}) as server:
            finding = only(doctor(at(server), store=ca.root))
            assert finding["code"] == "REVOKED" and "keyCompromise" in finding["cause"]
            assert "--no-reuse-key" in finding["letter"]
            lineage = Lineage(tmp_path, HOST, bad)
            assert codes(doctor(str(lineage.path), store=ca.root)) == ["REVOKED"]
            # It is asked only after the chain was verified, and not at all where nobody wants it.
            asked = responder.requests
            assert doctor(at(server), store=ca.root, more=["--no-revocation"])["exit"] == 0
            assert codes(doctor(at(server), store=other_store(tmp_path))) == ["ROOT_NOT_TRUSTED"]
            assert responder.requests == asked
            # One that hangs costs the budget, not more, and is no finding.
            responder.mode = "silent"
            report = doctor(at(server), store=ca.root)
            assert report["exit"] == 0
            assert report["targets"][0]["chains"][0]["revocation"].startswith("not known: ")


def test_must_staple_without_a_staple(ca, tmp_path):
    leaf = ca.issue(HOST, ocsp_url="http://127.0.0.1:1/", must_staple=True)
    with Nginx(tmp_path, {HOST: (leaf.fullchain, leaf.key)}) as server:
        finding = only(doctor(at(server), store=ca.root))
        assert finding["code"] == "MUST_STAPLE_WITHOUT_STAPLE"
        assert "ssl_stapling" in finding["letter"] and "SSLUseStapling" in finding["letter"]


# Files.


def test_a_lineage_and_its_mistakes(ca, tmp_path):
    leaf, other = ca.issue("a.test"), ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", leaf)
    assert doctor(str(lineage.path), store=ca.root)["exit"] == 0
    # What squid was given at first.
    assert codes(doctor(str(lineage.path / "cert.pem"), store=ca.root)) == ["CHAIN_MISSING_INTERMEDIATE"]
    assert doctor(str(lineage.path / "fullchain.pem"), store=ca.root)["exit"] == 0
    lineage.renew_with({"privkey": other.key})
    report = doctor(str(lineage.path), store=ca.root)
    assert codes(report) == ["KEY_MISMATCH"] and report["exit"] == 1
    assert codes(doctor(str(lineage.path / "fullchain.pem"), store=ca.root)) == ["KEY_MISMATCH"]
    lineage.renew_with({"privkey": leaf.key, "fullchain": leaf.cert})
    assert codes(doctor(str(lineage.path), store=ca.root)) == ["CHAIN_MISSING_INTERMEDIATE"]
    lineage.renew_with({"fullchain": leaf.chain + leaf.cert})
    assert codes(doctor(str(lineage.path), store=ca.root)) == ["CHAIN_ORDER"]


def test_certificates_without_their_keys_are_looked_at(ca, tmp_path):
    leaf = ca.issue("a.test")
    folder = tmp_path / "sent"
    folder.mkdir()
    (folder / "cert.pem").write_text(leaf.cert)
    (folder / "chain.pem").write_text(leaf.chain)
    report = doctor(str(folder), store=ca.root)
    assert (report["exit"], codes(report)) == (1, ["CHAIN_MISSING_INTERMEDIATE"])
    assert report["targets"][0]["target"] == str(folder / "cert.pem")
    (folder / "fullchain.pem").write_text(leaf.fullchain)
    assert doctor(str(folder), store=ca.root)["exit"] == 0


def test_what_is_no_certificate_cannot_be_looked_at(ca, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "nothing").mkdir()
    for path in ("empty.pem", "text.txt", "nothing", "not/there.pem"):
        report = doctor(str(tmp_path / path), store=ca.root)
        assert (report["exit"], codes(report)) == (2, ["CERTIFICATE_UNREADABLE"]), path


RENEWAL = """# renew_before_expiry = 30 days
version = {version}
archive_dir = /etc/letsencrypt/archive/a.test
cert = /etc/letsencrypt/live/a.test/cert.pem
[renewalparams]
account = 0123456789abcdef
authenticator = webroot
{server}
"""
V1 = "https://acme-v01.api.letsencrypt.org/directory"
V2 = "https://acme-v02.api.letsencrypt.org/directory"
LOG = "2020-01-01 00:00:00,123:DEBUG:acme.client:Sending GET request to {}.\n"


@pytest.mark.parametrize("version, server, is_found", [
    ("0.20.0", f"server = {V1}", True),
    ("0.20.0", "", True),
    ("1.21.0", f"server = {V1}", True),
    ("1.21.0", f"server = {V2}", False),
    ("1.21.0", "", False),
])
def test_an_acme_v1_client_is_found_by_its_renewal_file(ca, tmp_path, version, server, is_found):
    folder = tmp_path / "etc/letsencrypt"
    (folder / "renewal").mkdir(parents=True)
    conf = folder / "renewal/a.test.conf"
    conf.write_text(RENEWAL.format(version=version, server=server))
    for target in (folder, conf):
        report = doctor(str(target), store=ca.root)
        assert codes(report) == (["ACME_V1_CLIENT"] if is_found else [])
    if is_found:
        finding = report["targets"][0]["findings"][0]
        assert "acme-v01" in finding["cause"] and "certbot renew --dry-run" in finding["letter"]
        assert finding["file"] == str(conf)


def test_an_acme_v1_client_is_found_by_its_newest_log(ca, tmp_path):
    (tmp_path / "etc/letsencrypt/renewal").mkdir(parents=True)
    logs = tmp_path / "var/log/letsencrypt"
    logs.mkdir(parents=True)
    now = time.time()

    def log(number, text, age):
        path = logs / f"letsencrypt.log{'' if number == 0 else f'.{number}'}"
        path.write_text(text)
        os.utime(path, (now - age, now - age))

    # The large ones are those with real requests.
    log(0, "2020-01-01 00:00:00,123:DEBUG:certbot.main:nothing to do\n", 0)
    log(1, "x" * 100_000 + "\n" + LOG.format(V1) + "y" * 100_000 + "\n", 100)
    log(2, LOG.format(V2), 200)
    for target in (tmp_path / "etc/letsencrypt", logs, logs / "letsencrypt.log.1"):
        report = doctor(str(target), store=ca.root)
        assert codes(report) == ["ACME_V1_CLIENT"], target
        assert "letsencrypt.log.1" in report["targets"][-1]["findings"][0]["cause"]
    # After the client was replaced, the old logs are history.
    log(0, LOG.format(V2), 0)
    assert doctor(str(logs), store=ca.root)["exit"] == 0


# Servers that mean harm: the end comes within the budget, whatever they do.


class Hostile:
    """`with Hostile(behave) as server:` behave(connection, is_over) is called for each connection, on a thread."""

    def __init__(self, behave):
        self._behave = behave
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self.port = self._listener.getsockname()[1]

    def _serve(self):
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection):
        with connection:
            try:
                self._behave(connection, self._over)
            except OSError:
                pass

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._listener.close()


def silent(_, over):
    over.wait(60)


def drip(connection, over):
    """A ServerHello that never ends, a byte at a time."""
    connection.sendall(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
    while not over.wait(0.05):
        connection.sendall(b"\x03")


def flood(connection, over):
    """Records of a handshake message that is announced as 16 MB."""
    connection.sendall(b"\x16\x03\x03\x00\x04\x0b\xff\xff\xff")
    block = b"\x16\x03\x03\x40\x00" + b"\x00" * 16384
    while not over.is_set():
        connection.sendall(block)


def garbage(connection, over):
    while not over.is_set():
        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 100)


def hang_up(connection, _):
    connection.recv(1)


@pytest.mark.parametrize("behave, expected", [
    (silent, {"SERVER_TIMEOUT"}), (drip, {"SERVER_TIMEOUT"}), (flood, {"SERVER_BAD_TLS", "CHAIN_TOO_LONG"}),
    (garbage, {"SERVER_NOT_TLS"}), (hang_up, {"SERVER_HUNG_UP"}),
], ids=lambda value: getattr(value, "__name__", None))
def test_a_hostile_server_ends_within_the_budget(ca, behave, expected):
    with Hostile(behave) as server:
        # By hand: what it took at most is only told to whoever waits for it.
        process = subprocess.Popen([binary(), "doctor", f"127.0.0.1:{server.port}", "--json", "--trust-store",
                                    str(ca.root)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        timer = threading.Timer(150, process.kill)
        timer.start()
        report = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
    jsonschema.validate(report, SCHEMA)
    assert process.returncode == 2
    assert {report["targets"][0]["findings"][0]["code"]} <= expected
    assert usage.ru_maxrss < 512 * 1024, f"{usage.ru_maxrss} KiB"


@pytest.mark.parametrize("count", [200, 2000])
def test_a_chain_of_hundreds_is_bounded(topology, tmp_path, count):
    root = topology.root("Mesh Root")
    middle = topology.authority("Mesh Intermediate", root)
    leaf = topology.leaf(HOST, middle)
    with Nginx(tmp_path, {HOST: (leaf.pem + middle.pem * count, leaf.key)}) as server:
        report = doctor(at(server), store=topology.store(root))
        assert "CHAIN_TOO_LONG" in codes(report)
        # 2,000 are more than anybody reads; of 200 the first are looked at.
        assert report["exit"] == (1 if count == 200 else 2)


def test_text_out_of_a_certificate_moves_no_cursor(topology, tmp_path):
    root = topology.root("Plain Root")
    evil = topology.leaf(HOST, root, more="authorityInfoAccess = caIssuers;URI:http://127.0.0.1/\\$(id)\n")
    with Nginx(tmp_path, {HOST: (evil.pem, evil.key)}) as server:
        done = genkan_command("doctor", at(server), "--trust-store", str(other_store(tmp_path)))
        assert done.returncode == 1 and "CHAIN_MISSING_INTERMEDIATE" in done.stdout
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
        assert not re.search(r"curl .*\$\(id\)", done.stdout)
