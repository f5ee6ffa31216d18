"""Whole TLS 1.3 handshakes, which are genkan's own: every kind of client, key and suite, and OpenSSL's configuration."""

import json
import socket
import ssl

import pytest

from support.ca import Lineage
from support.clients import curl_status, s_client
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan, whole_lines

SUITES = {"TLS_AES_128_GCM_SHA256": "AES-128-GCM", "TLS_AES_256_GCM_SHA384": "AES-256-GCM",
          "TLS_CHACHA20_POLY1305_SHA256": "CHACHA20-POLY1305"}


def config(ca, lineage, origin, log):
    return (LISTENERS + f'[access_log]\noutput = "{log}"\nformat = "json"\n'
            f'[certificates]\ntrust_store = "{ca.root}"\n'
            f'[[site]]\nnames = ["a.test"]\ncertificates = ["{lineage.path}"]\nupstream = "{origin.url}"\n')


def python_gets(port, root):
    context = ssl.create_default_context(cafile=root)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with socket.create_connection(("127.0.0.1", port), timeout=60) as raw, \
            context.wrap_socket(raw, server_hostname="a.test") as tls:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := tls.recv(4096):
            answer += part
    return answer.startswith(b"HTTP/1.1 200")


def access_lines(log, count):
    lines = whole_lines(log).splitlines()
    return lines if len(lines) >= count else None


def nss_store(folder, root):
    store = folder / "nss"
    store.mkdir()
    run(["certutil", "-N", "--empty-password", "-d", f"sql:{store}"], check=True)
    run(["certutil", "-A", "-d", f"sql:{store}", "-n", "root", "-t", "C,,", "-i", root], check=True)
    return store


@pytest.mark.parametrize("kind", ["ec", "rsa"])
def test_every_client_shakes_hands(ca, origin, tmp_path, kind):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test", kind=kind))
    log = tmp_path / "access.log"
    with Genkan(tmp_path, config(ca, lineage, origin, log)) as genkan:
        signs = "ECDSA" if kind == "ec" else "RSA-PSS"
        for suite, gnutls_name in SUITES.items():
            shown = s_client(genkan.tls_port, "a.test", "-tls1_3", "-ciphersuites", suite, "-groups", "X25519",
                             "-verify_return_error", "-verify_hostname", "a.test", ca=ca.root)
            assert f"New, TLSv1.3, Cipher is {suite}" in shown and "Verify return code: 0 (ok)" in shown, shown
            assert f"Peer signature type: {signs}" in shown and "Server Temp Key: X25519" in shown, shown
            done = run(["timeout", "60", "gnutls-cli", f"--x509cafile={ca.root}", f"--port={genkan.tls_port}",
                        f"--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{gnutls_name}:-GROUP-ALL:+GROUP-X25519",
                        "--sni-hostname=a.test", "--verify-hostname=a.test", "127.0.0.1"], input="")
            assert "- Status: The certificate is trusted." in done.stdout, done.stdout + done.stderr
            assert "- Handshake was completed" in done.stdout, done.stdout + done.stderr
        done = run(["tstclnt", "-d", f"sql:{nss_store(tmp_path, ca.root)}", "-h", "127.0.0.1", "-p", genkan.tls_port,
                    "-a", "a.test", "-V", "tls1.3:tls1.3", "-Q"])
        assert done.returncode == 0, done.stdout + done.stderr
        assert python_gets(genkan.tls_port, ca.root)
        for version in ("--http1.1", "--http2"):
            assert curl_status(genkan, "a.test", "/", "--tlsv1.3", version, ca=ca.root) == 200
        lines = [json.loads(line) for line in eventually(lambda: access_lines(log, 3), longest=30, what="three lines")]
        assert all(line["tls_version"] == "TLSv1.3" and not line["resumed"] for line in lines), lines
        assert {line.get("alpn", "") for line in lines} == {"", "http/1.1", "h2"}, lines


def openssl_conf(folder, settings):
    path = folder / "openssl.cnf"
    path.write_text("openssl_conf = init\n[init]\nssl_conf = modules\n[modules]\nsystem_default = tls\n[tls]\n"
                    + settings)
    return {"OPENSSL_CONF": str(path)}


@pytest.mark.parametrize("kind, settings, signed",
                         [("rsa", "SignatureAlgorithms = ECDSA+SHA256:RSA-PSS+SHA384:RSA+SHA256", "SHA384"),
                          ("ec", "SignatureAlgorithms = ECDSA+SHA256:RSA-PSS+SHA384", "SHA256"),
                          ("ec", "SignatureAlgorithms = RSA-PSS+SHA256:ECDSA+SHA384", None)])
def test_openssl_is_configured_with_other_signatures(ca, origin, tmp_path, kind, settings, signed):
    """Whoever configures OpenSSL for the whole machine means every server on it."""
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test", kind=kind))
    with Genkan(tmp_path, config(ca, lineage, origin, tmp_path / "log"),
                env=openssl_conf(tmp_path, settings + "\n")) as genkan:
        shown = s_client(genkan.tls_port, "a.test", "-tls1_3", "-groups", "X25519", ca=ca.root)
        if signed is None:
            assert "no peer certificate available" in shown, shown
        else:
            assert f"Peer signing digest: {signed}" in shown and "Verify return code: 0 (ok)" in shown, shown


def test_openssl_is_configured_without_tls13(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    for settings in ("MaxProtocol = TLSv1.2\n", "Protocol = -TLSv1.3\n"):
        with Genkan(tmp_path, config(ca, lineage, origin, tmp_path / "log"),
                    env=openssl_conf(tmp_path, settings)) as genkan:
            assert "protocol version" in s_client(genkan.tls_port, "a.test", "-tls1_3", "-groups", "X25519"), settings
            assert "New, TLSv1.2" in s_client(genkan.tls_port, "a.test", ca=ca.root), settings


def test_openssl_is_configured_without_tickets(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    for settings, has_tickets in (("", True), ("Options = -SessionTicket\n", False)):
        with Genkan(tmp_path, config(ca, lineage, origin, tmp_path / "log"),
                    env=openssl_conf(tmp_path, settings)) as genkan:
            shown = run(["openssl", "s_client", "-connect", f"127.0.0.1:{genkan.tls_port}", "-servername", "a.test",
                         "-tls1_3", "-groups", "X25519", "-ign_eof"],
                        input="GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").stdout
            assert "HTTP/1.1 200" in shown, shown
            assert ("Post-Handshake New Session Ticket" in shown) == has_tickets, shown


def weak_lineage(folder):
    """An intermediate that is signed with SHA-1, which OpenSSL has at security level 0 alone."""
    made, live = folder / "weak", folder / "live"
    made.mkdir(), live.mkdir()
    (made / "ca.ext").write_text("basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\nsubjectKeyIdentifier=hash\n")
    (made / "leaf.ext").write_text("basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:a.test\n"
                                   "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n")

    def request(name, subject):
        run(["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={subject}",
             "-keyout", made / f"{name}.key", "-out", made / f"{name}.csr"], check=True)

    def sign(name, issuer, digest, extensions):
        run(["openssl", "x509", "-req", "-in", made / f"{name}.csr", "-CA", made / f"{issuer}.pem",
             "-CAkey", made / f"{issuer}.key", "-CAcreateserial", digest, "-days", "20",
             "-extfile", made / extensions, "-out", made / f"{name}.pem"], check=True)

    run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Root", "-days", "30",
         "-keyout", made / "root.key", "-out", made / "root.pem"], check=True)
    request("between", "Between")
    sign("between", "root", "-sha1", "ca.ext")
    request("leaf", "a.test")
    sign("leaf", "between", "-sha256", "leaf.ext")
    (live / "fullchain.pem").write_text((made / "leaf.pem").read_text() + (made / "between.pem").read_text())
    (live / "privkey.pem").write_text((made / "leaf.key").read_text())
    return live, made / "root.pem"


def test_a_chain_too_weak_for_its_policy_is_served_to_nobody(origin, tmp_path):
    """It was good enough while the site had an old policy; libssl weighs it in each handshake."""
    live, root = weak_lineage(tmp_path)
    plain = (LISTENERS + f'[certificates]\ntrust_store = "{root}"\n'
             f'[[site]]\nnames = ["a.test"]\ncertificates = ["{live}"]\nupstream = "{origin.url}"\n')

    def answers(genkan, *args):
        return "no peer certificate available" not in s_client(genkan.tls_port, "a.test", *args)

    clients = (["-tls1_3", "-groups", "X25519"], ["-tls1_3", "-groups", "P-256"], ["-tls1_2"])
    with Genkan(tmp_path, plain + '[site.tls]\nprofile = "old"\nmin_version = "1.0"\n') as genkan:
        assert all(answers(genkan, *client) for client in clients)
        genkan.write_config(plain)
        genkan.reload()
        eventually(lambda: not any(answers(genkan, *client) for client in clients), longest=30,
                   what="everybody is refused")
