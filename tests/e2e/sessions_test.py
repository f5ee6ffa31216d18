"""TLS sessions: which come back, in TLS 1.2 and 1.3, and which are a full handshake and no trouble."""

import json
import os
import socket
import ssl
import subprocess

import pytest

from support.ca import Lineage
from support.clients import served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.sessions import VERSIONS, Session


def config(ca, *sites, more=""):
    return LISTENERS + f'{more}\n[certificates]\ntrust_store = "{ca.root}"\n' + "".join(sites)


def site(lineage, origin, *names, more=""):
    listed = ", ".join(f'"{name}"' for name in names)
    return f'[[site]]\nnames = [{listed}]\ncertificates = ["{lineage.path}"]\nupstream = "{origin.url}"\n{more}\n'


@pytest.mark.parametrize("version", VERSIONS)
def test_a_session_is_its_sites_and_its_policys(ca, origin, tmp_path, version):
    """The context of a session is the site and its TLS policy, never the certificate: one lineage serves them all here."""
    lineage = Lineage(tmp_path, "all", ca.issue("a.test", "www.a.test", "b.test", "c.test"))
    strict = '[site.tls]\nmin_version = "1.3"' if version == 3 else '[site.tls]\nprofile = "old"'
    sites = [site(lineage, origin, "a.test", "www.a.test"), site(lineage, origin, "b.test"),
             site(lineage, origin, "c.test", more=strict)]
    with Genkan(tmp_path, config(ca, *sites)) as genkan:
        session = Session(genkan, ca, tmp_path, version)
        assert session.resumes()
        assert session.resumes("www.a.test"), "another name of the site"
        for name in ("b.test", "c.test"):
            assert not session.resumes(name), name
            own = Session(genkan, ca, tmp_path, version, name)
            assert own.resumes() and not own.resumes("a.test"), name
        assert session.resumes(), "and it is not used up by that"

        # Another policy of the site is another context; the old one is no trouble.
        other = "[site.tls]\n" + ('min_version = "1.3"' if version == 3 else 'profile = "old"')
        genkan.write_config(config(ca, site(lineage, origin, "a.test", "www.a.test", more=other), *sites[1:]))
        assert genkan.reload().returncode == 0
        eventually(lambda: not session.resumes(), longest=60, what="a full handshake")
        assert Session(genkan, ca, tmp_path, version).resumes()


def test_sessions_come_back_in_every_worker(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    log = tmp_path / "access.log"
    more = f'[access_log]\noutput = "{log}"\nformat = "json"'
    with Genkan(tmp_path, config(ca, site(lineage, origin, "a.test"), more=more)) as genkan:
        sessions = [Session(genkan, ca, tmp_path, version) for version in VERSIONS]

        def workers(version):
            """Those that resumed a session: the first number of a request's id is the worker's."""
            whole = log.read_text().split("\n")[:-1] if log.exists() else []
            return {line["id"].split(".")[0] for line in map(json.loads, whole)
                    if line["resumed"] and line["tls_version"] == f"TLSv1.{version}"}

        def resume_again():
            assert all(session.resumes() for session in sessions)
            return all(len(workers(version)) == 2 for version in VERSIONS)
        # The kernel spreads connections by their port.
        eventually(resume_again, longest=60, what="resumptions in both")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_leaf_that_is_forced_out_takes_its_sessions_along(ca, origin, tmp_path, version):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with Genkan(tmp_path, config(ca, site(lineage, origin, "a.test"))) as genkan:
        first = Session(genkan, ca, tmp_path, version)
        renewed = ca.issue("a.test")
        lineage.renew(renewed)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == renewed.serial, longest=60, what="the swap")
        assert first.resumes(), "a swap takes nothing along"
        older = ca.issue("a.test", starts=-30, days=60)
        lineage.renew(older)
        eventually(lambda: "cert_refused" in genkan.log(), longest=60, what="the older one is refused")
        second = Session(genkan, ca, tmp_path, version, "a.test")
        assert second.resumes()
        assert genkan.reload("--force").returncode == 0
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == older.serial, longest=60, what="the force")
        # The worker that was asked has it; the other one is to hear of it.
        eventually(lambda: not second.resumes(), what="a full handshake")
        assert not any(second.resumes() for _ in range(5))
        assert Session(genkan, ca, tmp_path, version).resumes()


def test_a_fleet_shares_its_tickets_by_a_file_that_is_watched(ca, origin, tmp_path):
    keys = tmp_path / "keys"
    first, second = os.urandom(80), os.urandom(80)
    keys.write_bytes(first)
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    written = config(ca, site(lineage, origin, "a.test"), more=f'[tls]\nticket_keys = "{keys}"')
    with Genkan(tmp_path / "one", written) as one, Genkan(tmp_path / "two", written) as two:
        sessions = [Session(one, ca, tmp_path, version) for version in VERSIONS]
        for session in sessions:
            session.genkan = two
            assert session.resumes(), "in the other one"
        # The file says: another key encrypts, the old one is taken still; then it is not any more.
        for text, lives in ((second + first, True), (second, False)):
            fresh = tmp_path / "keys.new"
            fresh.write_bytes(text)
            before = two.log().count("ticket_keys_read")
            fresh.replace(keys)
            eventually(lambda before=before: two.log().count("ticket_keys_read") > before, longest=60, what="the file")
            for session in sessions:
                eventually(lambda session=session, lives=lives: session.resumes() == lives, longest=60,
                           what=f"resumption: {lives}")


REQUEST = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"


def python_resumes(genkan, ca):
    """CPython's ssl: a resumption of a resumption, too."""
    context = ssl.create_default_context(cafile=ca.root)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session = None
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", genkan.tls_port), timeout=30) as raw, \
                context.wrap_socket(raw, server_hostname="a.test", session=session) as tls:
            tls.sendall(REQUEST)
            while tls.recv(4096):
                pass
            assert session is None or tls.session_reused
            session = tls.session


def gnutls_resumes(genkan, ca, suite):
    command = ["timeout", "60", "gnutls-cli", "--resume", "--waitresumption", f"--x509cafile={ca.root}",
               f"--priority=NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+{suite}", f"--port={genkan.tls_port}",
               "--sni-hostname=a.test", "--verify-hostname=a.test", "127.0.0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
        # An end of its input would end the connection before the answer.
        client.stdin.write(REQUEST)
        client.stdin.flush()
        text = client.stdout.read().decode(errors="replace")
    assert "*** This is a resumed session" in text and "HTTP/1.1 200" in text, text


def curl_resumes(genkan, ca):
    """curl keeps sessions for as long as it runs: the second connection has one."""
    url = f"https://a.test:{genkan.tls_port}/"
    done = subprocess.run(["curl", "-sS", "-v", "--tlsv1.3", "--cacert", ca.root, "-H", "Connection: close", "--http1.1",
                           "--resolve", f"a.test:{genkan.tls_port}:127.0.0.1", url, url],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0, done.stderr.decode(errors="replace")


def test_each_kind_of_client_takes_our_tickets(ca, origin, tmp_path):
    """Tickets of TLS 1.3 are written by genkan itself, not by libssl."""
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    log = tmp_path / "access.log"
    more = f'[access_log]\noutput = "{log}"\nformat = "json"'
    with Genkan(tmp_path, config(ca, site(lineage, origin, "a.test"), more=more)) as genkan:
        def resumed():
            whole = log.read_text().split("\n")[:-1] if log.exists() else []
            lines = [json.loads(line) for line in whole]
            assert all(line["tls_version"] == "TLSv1.3" for line in lines), lines
            return sum(1 for line in lines if line["resumed"])

        python_resumes(genkan, ca)
        eventually(lambda: resumed() == 2, longest=30, what="CPython's resumptions")
        for suite in ("AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"):
            gnutls_resumes(genkan, ca, suite)
        # gnutls-cli sends its request only in the resumed session.
        eventually(lambda: resumed() == 5, longest=30, what="those of GnuTLS")
        curl_resumes(genkan, ca)
        eventually(lambda: resumed() == 6, longest=30, what="curl's")
