"""What the schedule alone finds out, with nobody asking: the shortest pauses that there are, in real time."""

import time

from support.authority import Authority
from support.ca import Lineage, OcspResponder
from support.clients import s_client, served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan

MINUTE = 60


def site(name, lineage, origin):
    return f'[[site]]\nnames = ["{name}"]\ncertificates = ["{lineage.path}"]\nupstream = "{origin.url}"\n'


def is_stapled(genkan, ca, name):
    return "Cert Status: good" in s_client(genkan.tls_port, name, "-status", ca=ca.root)


def test_a_revocation_a_window_and_a_responder_that_recovers_are_noticed_by_themselves(ca, origin, tmp_path):
    with OcspResponder(ca) as revoking, OcspResponder(ca) as failing, Authority(ca) as authority:
        # Past half of its life: due again as soon as anything is, after five minutes.
        revoking.times = (-3600, 3600)
        authority.retry_after = 60
        revoked, recovering = ca.issue("a.test", ocsp_url=revoking.url), ca.issue("b.test", ocsp_url=failing.url)
        spare, renewed = ca.issue("a.test"), ca.issue("c.test")
        failing.stop()
        standby = Lineage(tmp_path, "spare", spare)
        ran = tmp_path / "ran"
        hook = tmp_path / "hook"
        hook.write_text(f'#!/bin/sh\necho "$GENKAN_SITE $GENKAN_STATE" >> {ran}\n')
        hook.chmod(0o755)
        config = LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
[revocation]
ari_file = "{authority.ari_file(tmp_path)}"
on_revoked = ["{hook}"]
{site("a.test", Lineage(tmp_path, "a.test", revoked), origin)}standby = "{standby.path}"
{site("b.test", Lineage(tmp_path, "b.test", recovering), origin)}
{site("c.test", Lineage(tmp_path, "c.test", renewed), origin)}"""

        def seconds_until(condition, longest, what):
            began = time.monotonic()
            eventually(condition, longest=longest, what=what, every=0.5)
            return round(time.monotonic() - began)

        def hooks():
            return sorted(ran.read_text().splitlines()) if ran.exists() else []
        with Genkan(tmp_path, config) as genkan:
            assert is_stapled(genkan, ca, "a.test") and not is_stapled(genkan, ca, "b.test")
            eventually(lambda: genkan.certificate(site="c.test")["renewal"] == "keep", longest=60, what="ARI")
            revoking.times = None
            ca.revoke(revoked)
            authority.windows[renewed.serial] = (-7200, -3600)
            failing.start()

            # A minute's back-off, then two.
            took = seconds_until(lambda: is_stapled(genkan, ca, "b.test"), 4 * MINUTE, "the responder's recovery")
            # Retry-After is a minute.
            took_window = seconds_until(lambda: "c.test overdue" in hooks(), 3 * MINUTE, "the window")
            took_revoked = seconds_until(lambda: served_serial(genkan.tls_port, "a.test") == spare.serial, 7 * MINUTE,
                                         "the revocation")
            print(f"stapled after {took} s, overdue {took_window} s later, the standby served {took_revoked} s later")
            eventually(lambda: hooks() == ["a.test revoked", "c.test overdue"], longest=60, what="the hooks")
