"""What happens when an authority takes a certificate back, or wants it renewed now: by its responder, its list, or ARI."""

import json
import re

import pytest

from support.authority import Authority
from support.ca import Ca, Lineage, OcspResponder
from support.clients import curl, normal_serial, s_client, served_serial
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan, genkan_command
from support.hook_server import HookServer
from support.mounts import genkan_in
from support.sessions import VERSIONS, Session


@pytest.fixture
def authority(ca):
    with Authority(ca) as running:
        yield running


@pytest.fixture
def hook(tmp_path):
    """A command that notes its arguments and what it was told, a line a run."""
    path = tmp_path / "hook"
    noted = tmp_path / "hook.ran"
    path.write_text(f'#!/bin/sh\necho "$1|$2|$3|$GENKAN_STATE|$GENKAN_DRILL" >> {noted}\necho renewing "$1"\n')
    path.chmod(0o755)
    return path, lambda: noted.read_text().splitlines() if noted.exists() else []


def config(ca, lineage, origin, hook, standby=None, more="", roots=None):
    return LISTENERS + f"""
[certificates]
trust_store = "{roots or ca.root}"
[ocsp]
first_response_wait = "60s"
[revocation]
on_revoked = ["{hook}", "{{lineage}}", "{{name}}", "a b; c"]
{more}
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
{f'standby = "{standby.path}"' if standby else ''}
"""


def refresh(genkan):
    done = genkan.command("status", "--refresh")
    assert done.returncode == 0, done


def drill(genkan, site):
    return genkan_command("drill", "revocation", "--socket", str(genkan.socket), "--site", site, longest=60)


def main_certificate(genkan):
    return next(one for one in genkan.status()["certificates"] if not one["standby"])


def wait_until_served(genkan, serial):
    eventually(lambda: served_serial(genkan.tls_port, "a.test") == serial, longest=60,
               what=f"the certificate {serial} is served")


def wait_until_none_resumes(sessions):
    """Workers hear of a change one after the other: the first may be asked before the last has heard."""
    eventually(lambda: not any(session.resumes() for session in sessions), what="full handshakes")
    assert not any(session.resumes() for session in sessions * 3)


def wait_for_log(genkan, text):
    genkan.logs(text)


def wait_for_hook(runs, count=1):
    eventually(lambda: len(runs()) >= count, longest=60, what="the hook ran")
    assert len(runs()) == count, runs()


def test_by_the_list_alone_as_lets_encrypt_does_it(ca, authority, origin, hook, tmp_path):
    command, runs = hook
    first = ca.issue("a.test", crl_url=authority.crl_url)
    spare = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    standby = Lineage(tmp_path, "spare", spare)
    with Genkan(tmp_path, config(ca, lineage, origin, command, standby)) as genkan:
        good = eventually(lambda: main_certificate(genkan)["revocation"] == "good" and main_certificate(genkan),
                          longest=60, what="the list says good")
        assert good["revocation_source"] == "crl" and good["serving"], good
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        assert not re.search(r"ocsp|staple", genkan.log(), re.I), "no responder: quiet"

        sessions = [Session(genkan, ca, tmp_path, version) for version in VERSIONS]
        assert all(session.resumes() for session in sessions)

        ca.revoke(first, "superseded")
        authority.publish()
        refresh(genkan)
        wait_until_served(genkan, spare.serial)
        wait_for_hook(runs)
        assert runs() == ["a.test|a.test|a b; c|revoked|"]
        bad = main_certificate(genkan)
        assert bad["revocation"] == "revoked" and "superseded" in bad["revocation_why"], bad
        assert bad["revocation_since"] and not bad["serving"], bad
        wait_until_none_resumes(sessions)
        assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"
        genkan.logs("certificate_revoked site=a.test")
        assert 'hook_output name=a.test line="renewing a.test"' in eventually(
            lambda: "hook_output" in genkan.log() and genkan.log(), what="the hook's output is logged")

        # Another look calls nobody again.
        refresh(genkan)
        eventually(lambda: authority.not_modified >= 1, what="an unchanged list is not sent again")
        assert len(runs()) == 1

        fresh = ca.issue("a.test", crl_url=authority.crl_url)
        lineage.renew(fresh)
        wait_until_served(genkan, fresh.serial)
        eventually(lambda: "standby_relieved" in genkan.log(), what="the standby is relieved")


def test_by_the_responder(ca, origin, hook, tmp_path):
    command, runs = hook
    with OcspResponder(ca) as responder:
        first = ca.issue("a.test", ocsp_url=responder.url)
        spare = ca.issue("a.test", ocsp_url=responder.url)
        lineage = Lineage(tmp_path, "a.test", first)
        standby = Lineage(tmp_path, "spare", spare)
        with Genkan(tmp_path, config(ca, lineage, origin, command, standby)) as genkan:
            assert "Cert Status: good" in s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
            sessions = [Session(genkan, ca, tmp_path, version) for version in VERSIONS]
            assert all(session.resumes() for session in sessions)
            ca.revoke(first)
            refresh(genkan)
            wait_until_served(genkan, spare.serial)
            wait_for_hook(runs)
            said = s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
            assert "Cert Status: good" in said, "the standby has a staple of its own\n" + said
            bad = main_certificate(genkan)
            assert bad["revocation_source"] == "ocsp" and "keyCompromise" in bad["revocation_why"], bad
            assert runs() == ["a.test|a.test|a b; c|revoked|"]
            metrics, page = (run(["curl", "-sS", "--unix-socket", genkan.socket, f"http://admin/{path}"],
                                 check=True).stdout for path in ("metrics", ""))
            assert re.search(r'genkan_certificate_revocation_state{[^}]*name="a.test"[^}]*state="revoked"[^}]*} 1', metrics)
            assert "keyCompromise" in page, page
            wait_until_none_resumes(sessions)
            # Those of the standby do.
            assert all(Session(genkan, ca, tmp_path, version).resumes() for version in VERSIONS)


def test_without_a_standby_the_revoked_one_is_served_and_its_sessions_never_resume(ca, origin, hook, tmp_path):
    command, runs = hook
    with OcspResponder(ca) as responder:
        first = ca.issue("a.test", ocsp_url=responder.url)
        lineage = Lineage(tmp_path, "a.test", first)
        with Genkan(tmp_path, config(ca, lineage, origin, command)) as genkan:
            before = [Session(genkan, ca, tmp_path, version) for version in VERSIONS]
            ca.revoke(first)
            refresh(genkan)
            wait_for_hook(runs)
            said = eventually(lambda: (said := s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)) and
                              "no response sent" in said and said, what="no staple any more")
            assert served_serial(genkan.tls_port, "a.test") == first.serial, said
            wait_until_none_resumes(before)
            assert not any(Session(genkan, ca, tmp_path, version).resumes() for version in VERSIONS)
            assert main_certificate(genkan)["serving"]


def test_by_a_renewal_window_in_the_past(ca, authority, origin, hook, tmp_path):
    command, runs = hook
    first = ca.issue("a.test")
    spare = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    standby = Lineage(tmp_path, "spare", spare)
    more = f'ari_file = "{authority.ari_file(tmp_path)}"'
    with Genkan(tmp_path, config(ca, lineage, origin, command, standby, more)) as genkan:
        kept = eventually(lambda: main_certificate(genkan)["renewal"] == "keep" and main_certificate(genkan),
                          longest=60, what="ARI says to keep it")
        assert kept["renewal_moment"] and kept["serving"], kept
        # RFC 9773 4.1: keyIdentifier and serial number, as base64url.
        assert all(re.fullmatch(r"[\w-]{27}\.[\w-]+", one) for one in authority.asked), authority.asked
        assert runs() == []

        # The authority wants the first one back, not the spare.
        authority.window = (-7200, -3600)
        refresh(genkan)
        wait_for_hook_names(runs, {"a.test", "spare"})
        bad = main_certificate(genkan)
        assert bad["renewal"] == "overdue" and bad["explanation"] == "https://authority.test/why", bad
        assert any("must be renewed now" in one for one in bad["findings"]), bad
        genkan.logs("certificate_renew_now")
        # A standby that is to be renewed itself cannot stand in: what is good is served on.
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        assert any("cannot stand in" in one for one in bad["findings"]), bad


@pytest.mark.parametrize("spare_is_known", [True, False])
def test_a_standby_that_may_stay_takes_the_place_of_what_must_be_renewed_now(ca, authority, origin, hook, tmp_path,
                                                                            spare_is_known):
    """The spare's authority says to keep it, or offers no renewal information at all."""
    command, runs = hook
    spare_ca = ca if spare_is_known else Ca(tmp_path, "another")
    first, spare = ca.issue("a.test"), spare_ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    standby = Lineage(tmp_path, "spare", spare)
    roots = tmp_path / "roots.pem"
    roots.write_text(ca.root.read_text() + ("" if spare_is_known else spare_ca.root.read_text()))
    trusted = Ca.__new__(Ca)
    trusted.root = roots
    more = f'ari_file = "{authority.ari_file(tmp_path)}"'
    with Genkan(tmp_path, config(ca, lineage, origin, command, standby, more, roots)) as genkan:
        eventually(lambda: main_certificate(genkan)["renewal"] == "keep", longest=60, what="ARI says to keep it")
        sessions = [Session(genkan, trusted, tmp_path, version) for version in VERSIONS]
        assert all(session.resumes() for session in sessions)
        assert served_serial(genkan.tls_port, "a.test") == first.serial

        authority.windows[first.serial] = (-7200, -3600)
        refresh(genkan)
        wait_until_served(genkan, spare.serial)
        wait_for_hook(runs)
        assert runs() == ["a.test|a.test|a b; c|overdue|"]
        bad = main_certificate(genkan)
        assert bad["renewal"] == "overdue" and not bad["serving"] and bad["revocation"] != "revoked", bad
        assert genkan.certificate(name="spare")["serving"]
        wait_for_log(genkan, "standby_serving site=a.test in_place_of=a.test")
        wait_until_none_resumes(sessions)
        assert curl(genkan, "a.test", ca=roots).stdout == "hello /\n"

        # Renewed, it serves again.
        fresh = ca.issue("a.test")
        lineage.renew(fresh)
        wait_until_served(genkan, fresh.serial)
        wait_for_log(genkan, "standby_relieved")
        assert len(runs()) == 1


def wait_for_hook_names(runs, names):
    eventually(lambda: {line.split("|")[0] for line in runs()} == names, longest=60, what="the hooks ran")
    assert len(runs()) == len(names), runs()


def test_a_list_that_goes_away_counts_until_it_expires(ca, authority, origin, hook, tmp_path):
    command, _ = hook
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test", crl_url=authority.crl_url))
    with Genkan(tmp_path, config(ca, lineage, origin, command)) as genkan:
        eventually(lambda: main_certificate(genkan)["revocation"] == "good", longest=60, what="good")
        authority.status = 500
        refresh(genkan)
        eventually(lambda: "crl_failed" in genkan.log(), what="the failure is told")
        assert main_certificate(genkan)["revocation"] == "good"
        genkan.restart()
        eventually(lambda: main_certificate(genkan)["revocation"] == "good", longest=60, what="good from the disk")


def test_the_drill_walks_the_reaction_and_touches_nothing(ca, authority, origin, hook, tmp_path):
    command, runs = hook
    first = ca.issue("a.test", crl_url=authority.crl_url)
    spare = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    standby = Lineage(tmp_path, "spare", spare)
    with Genkan(tmp_path, config(ca, lineage, origin, command, standby)) as genkan:
        eventually(lambda: main_certificate(genkan)["revocation"] == "good", longest=60, what="good")
        done = drill(genkan, "a.test")
        assert done.returncode == 0, done
        for words in ("noticed by: the revocation list", "hook:", "renewing a.test", "spare would be served",
                      f"{spare.serial}, until"):
            assert words in done.stdout, done.stdout
        assert runs() == ["a.test|a.test|a b; c|revoked|1"]
        after = main_certificate(genkan)
        assert after["revocation"] == "good" and after["serving"] and after["hook"] == "", after
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        assert drill(genkan, "b.test").returncode != 0


def test_the_drill_says_what_would_not_work(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    standby = Lineage(tmp_path, "spare", ca.issue("other.test"))
    with Genkan(tmp_path, config(ca, lineage, origin, "/bin/false", standby)) as genkan:
        done = drill(genkan, "a.test")
        assert done.returncode == 1, done
        for words in ("BAD   noticed by: nobody", "BAD   standby:", "does not cover a.test", "BAD   hook:", "exit 1"):
            assert words in done.stdout, done.stdout


def issue_revoked(ca, authority):
    """A leaf that is on the list already."""
    issued = ca.issue("a.test", crl_url=authority.crl_url)
    ca.revoke(issued, "superseded")
    authority.publish()
    return issued


def test_a_post_tells_what_happened_once(ca, authority, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test", crl_url=authority.crl_url))
    with HookServer(ca, tmp_path) as server, \
            Genkan(tmp_path, post_config(ca, lineage, origin, server)) as genkan:
        eventually(lambda: main_certificate(genkan)["revocation"] == "good", longest=60, what="good")
        assert server.told == []
        assert drill(genkan, "a.test").returncode == 0
        (path, headers, body), = server.told
        assert path == "/revoked" and headers["Content-Type"] == "application/json", headers
        assert json.loads(body)["drill"] is True

        issued = issue_revoked(ca, authority)
        lineage.renew(issued)
        wait_until_served(genkan, issued.serial)
        refresh(genkan)
        eventually(lambda: len(server.told) == 2, longest=60, what="the POST")
        told = json.loads(server.told[1][2])
        assert {key: told[key] for key in ("schema", "state", "drill", "site", "lineage", "explanation")} == \
            {"schema": 1, "state": "revoked", "drill": False, "site": "a.test", "lineage": "a.test",
             "explanation": ""}, told
        assert normal_serial(told["serial"]) == issued.serial and re.fullmatch(r"[0-9a-f]{64}", told["sha256"]), told
        assert "superseded" in told["why"] and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+Z", told["since"]), told
        eventually(lambda: main_certificate(genkan)["hook"] == "ran", what="its answer")
        wait_for_log(genkan, "hook_done name=a.test status=200")

        # Another one within the hour is told in the log alone.
        again = issue_revoked(ca, authority)
        lineage.renew(again)
        wait_until_served(genkan, again.serial)
        refresh(genkan)
        eventually(lambda: genkan.log().count("certificate_revoked site=a.test") == 2, longest=60, what="the second")
        assert len(server.told) == 2


def post_config(ca, lineage, origin, server, timeout="10s"):
    return LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
[revocation]
on_revoked = ["{server.url}"]
on_revoked_timeout = "{timeout}"
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
"""


def hook_failure(genkan):
    return eventually(lambda: re.search(r'hook_failed name=a.test error="(.*)"', genkan.log()), longest=60,
                      what="the failure").group(1)


@pytest.mark.parametrize("answer,words", [(500, "status 500"), (302, "status 302"),
                                          ("silent", "no answer within 5000 ms")])
def test_a_post_that_is_not_taken_is_told_and_not_repeated_at_once(ca, authority, origin, tmp_path, answer, words):
    lineage = Lineage(tmp_path, "a.test", issue_revoked(ca, authority))
    with HookServer(ca, tmp_path) as server:
        server.status = answer
        with Genkan(tmp_path, post_config(ca, lineage, origin, server, "5s" if answer == "silent" else "60s")) as genkan:
            assert hook_failure(genkan).endswith(words), genkan.log()
            eventually(lambda: main_certificate(genkan)["hook"].endswith(words), what="the failure in the status")
            refresh(genkan)
            eventually(lambda: authority.not_modified >= 1, what="another look")
            assert len(server.told) == 1 and genkan.log().count("hook_failed") == 1


def test_a_post_goes_to_a_server_of_an_authority_that_the_system_trusts(ca, authority, origin, tmp_path, monkeypatch):
    lineage = Lineage(tmp_path, "a.test", issue_revoked(ca, authority))
    system = "/etc/ssl/certs/ca-certificates.crt"
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(ca.root.read_text())
    genkan_in(monkeypatch, tmp_path, f"mount --bind {bundle} {system}")
    with HookServer(ca, tmp_path) as server:
        written = post_config(ca, lineage, origin, server)
        assert f'trust_store = "{ca.root}"' in written
        with Genkan(tmp_path, written.replace(str(ca.root), "system")) as genkan:
            eventually(lambda: main_certificate(genkan)["hook"] == "ran", longest=60, what="the POST")
            assert json.loads(server.told[0][2])["state"] == "revoked"


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_post_goes_to_no_server_that_does_not_verify(ca, authority, origin, tmp_path, wrong):
    lineage = Lineage(tmp_path, "a.test", issue_revoked(ca, authority))
    signer, name = (Ca(tmp_path, "stranger"), "127.0.0.1") if wrong == "authority" else (ca, "other.test")
    with HookServer(signer, tmp_path, name) as server, \
            Genkan(tmp_path, post_config(ca, lineage, origin, server)) as genkan:
        why = hook_failure(genkan)
        assert re.search(r"certificate|SSL", why), why
        eventually(lambda: main_certificate(genkan)["hook"].startswith("failed: "), what="the failure in the status")
        assert server.told == []


def test_a_reload_switches_lists_and_renewal_information_on_and_off(ca, authority, origin, hook, tmp_path):
    command, runs = hook
    issued = issue_revoked(ca, authority)
    lineage = Lineage(tmp_path, "a.test", issued)
    authority.windows[issued.serial] = (-60, 86400 * 30)
    ari = f'ari_file = "{authority.ari_file(tmp_path)}"'

    def written(crl, ari_on):
        more = f"{ari}\ncrl = {str(crl).lower()}\nari = {str(ari_on).lower()}"
        return config(ca, lineage, origin, command, more=more)
    with Genkan(tmp_path, written(False, False)) as genkan:
        pid = genkan.pid

        def state():
            one = main_certificate(genkan)
            return one["revocation"], one["renewal"]
        assert state() == ("unknown", "")

        def reload(crl, ari_on, wanted):
            genkan.write_config(written(crl, ari_on))
            done = genkan.reload()
            assert done.returncode == 0, done
            eventually(lambda: state() == wanted, longest=60, what=str(wanted))
        reload(True, False, ("revoked", ""))
        wait_for_hook(runs)
        reload(False, True, ("unknown", "keep"))
        reload(True, True, ("revoked", "keep"))
        reload(False, False, ("unknown", ""))
        assert genkan.pid == pid and "next start" not in genkan.log()
        assert len(runs()) == 1, "the same certificate calls nobody again"


def test_what_is_remembered_of_certificates_that_are_gone_is_removed(ca, authority, origin, tmp_path):
    with OcspResponder(ca) as responder:
        first, second = (ca.issue("a.test", ocsp_url=responder.url, crl_url=f"{authority.crl_url}?{shard}")
                         for shard in (1, 2))
        lineage = Lineage(tmp_path, "a.test", first)
        more = f'ari_file = "{authority.ari_file(tmp_path)}"'
        with Genkan(tmp_path, config(ca, lineage, origin, "/bin/true", more=more)) as genkan:
            folders = [genkan.state_dir / name for name in ("ocsp", "ari", "crl")]

            def files():
                return {path for folder in folders if folder.is_dir() for path in folder.iterdir()}

            def settled():
                # OCSP's answer, the list and what is remembered of it, the renewal window.
                found = files()
                return len(found) >= 4 and not any(path.suffix == ".new" for path in found) and found
            eventually(settled, longest=60, what="all that is remembered of the first")
            eventually(lambda: main_certificate(genkan)["proof"] == "proved", longest=60, what="the start's end")
            foreign = [folder / "notes.txt" for folder in folders]
            for path in foreign:
                path.write_text("an operator's")
            of_first = eventually(settled, what="no file under way") - set(foreign)
            lineage.renew(second)
            wait_until_served(genkan, second.serial)
            eventually(lambda: len(files()) == 2 * len(of_first) + len(foreign), longest=60,
                       what="all that is remembered of the second")
            of_second = files() - of_first - set(foreign)
            assert genkan.reload().returncode == 0
            eventually(lambda: files() == of_second | set(foreign), longest=60, what="what is left of the second")
            wait_for_log(genkan, "state_swept files=4 ")

            # And at a start.
            genkan.stop()
            leftover = folders[0] / ("0" * 64)
            leftover.write_text("of long ago")
            genkan.start()
            eventually(lambda: not leftover.exists(), longest=60, what="the leftover's end")
            # What is asked anew at a start is written to a file beside its own first.
            eventually(lambda: files() == of_second | set(foreign), what="what is left of the second")
