"""What happens when an authority takes a certificate back, or wants it renewed now: by its responder, its list, or ARI."""

import re

import pytest

from support.authority import Authority
from support.ca import Lineage, OcspResponder
from support.clients import curl, s_client, served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan, genkan_command


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


def config(ca, lineage, origin, hook, standby=None, more=""):
    return LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
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

        session = tmp_path / "session"
        s_client(genkan.tls_port, "a.test", "-tls1_2", "-sess_out", session, ca=ca.root)
        assert "Reused" in s_client(genkan.tls_port, "a.test", "-tls1_2", "-sess_in", session, ca=ca.root)

        ca.revoke(first, "superseded")
        authority.publish()
        refresh(genkan)
        wait_until_served(genkan, spare.serial)
        wait_for_hook(runs)
        assert runs() == ["a.test|a.test|a b; c|revoked|"]
        bad = main_certificate(genkan)
        assert bad["revocation"] == "revoked" and "superseded" in bad["revocation_why"], bad
        assert bad["revocation_since"] and not bad["serving"], bad
        assert "Reused" not in s_client(genkan.tls_port, "a.test", "-tls1_2", "-sess_in", session, ca=ca.root)
        assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"
        assert 'certificate_revoked site=a.test' in genkan.log()
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
            ca.revoke(first)
            refresh(genkan)
            wait_until_served(genkan, spare.serial)
            wait_for_hook(runs)
            said = s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
            assert "Cert Status: good" in said, "the standby has a staple of its own\n" + said
            bad = main_certificate(genkan)
            assert bad["revocation_source"] == "ocsp" and "keyCompromise" in bad["revocation_why"], bad


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
        assert "certificate_renew_now" in genkan.log()
        # A standby that is to be renewed itself cannot stand in: what is good is served on.
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        assert any("cannot stand in" in one for one in bad["findings"]), bad


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
