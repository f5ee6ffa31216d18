"""TLS sessions: which come back, in TLS 1.2 and 1.3, and which are a full handshake and no trouble."""

import json
import os

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
        eventually(lambda: not session.resumes(), longest=30, what="a full handshake")
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
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == renewed.serial, longest=30, what="the swap")
        assert first.resumes(), "a swap takes nothing along"
        older = ca.issue("a.test", starts=-30, days=60)
        lineage.renew(older)
        eventually(lambda: "cert_refused" in genkan.log(), longest=30, what="the older one is refused")
        second = Session(genkan, ca, tmp_path, version, "a.test")
        assert second.resumes()
        assert genkan.reload("--force").returncode == 0
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == older.serial, longest=30, what="the force")
        assert not second.resumes()
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
                eventually(lambda session=session, lives=lives: session.resumes() == lives, longest=30,
                           what=f"resumption: {lives}")
