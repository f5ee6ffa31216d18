"""OCSP staples: the first handshake has one, also right after a restart with the responder away."""

import re
import time

import pytest

from support.ca import Lineage, OcspResponder
from support.clients import curl, s_client
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan


def config(ca, lineage, origin, more=""):
    return LISTENERS + f"""
[certificates]
trust_store = "{ca.root}"
{more}
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{origin.url}"
"""


@pytest.fixture
def responder(ca):
    with OcspResponder(ca) as running:
        yield running


@pytest.fixture
def lineage(ca, responder, tmp_path):
    return Lineage(tmp_path, "a.test", ca.issue("a.test", ocsp_url=responder.url))


def staple_of(genkan, ca):
    """What s_client says of the staple: "good", "revoked", "none"."""
    said = s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
    if "OCSP response: no response sent" in said:
        return "none"
    assert "OCSP Response Status: successful" in said, said
    return re.search(r"Cert Status: (\w+)", said).group(1)


def test_first_handshake_is_stapled_also_after_a_restart_without_responder(ca, responder, lineage, origin, tmp_path):
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        said = s_client(genkan.tls_port, "a.test", "-status", ca=ca.root)
        assert "OCSP Response Status: successful (0x0)" in said, said
        assert "Cert Status: good" in said, said
        assert "Verify return code: 0 (ok)" in said, said
        assert responder.requests >= 1
        assert genkan.certificate()["staple"].startswith("good"), genkan.certificate()

        responder.stop()
        asked = responder.requests
        genkan.restart()
        assert staple_of(genkan, ca) == "good"
        assert responder.requests == asked


def test_curl_and_gnutls_take_the_staple(ca, responder, lineage, origin, tmp_path):
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        done = curl(genkan, "a.test", "/", "--cert-status", "-o", "/dev/null", "-w",
                    "%{http_version} %{http_code} %{ssl_verify_result}", ca=ca.root)
        assert done.stdout == "2 200 0", done
        for version in ("--tls-max", "1.2"), ("--tlsv1.3",):
            done = curl(genkan, "a.test", "/", "--cert-status", *version, ca=ca.root)
            assert done.stdout == "hello /\n", done
        done = run(["gnutls-cli", "--x509cafile", ca.root, "--sni-hostname", "a.test", "--verify-hostname",
                    "a.test", "-p", genkan.tls_port, "127.0.0.1"], input="")
        assert done.returncode == 0, done
        assert "- Status: The certificate is trusted." in done.stdout, done.stdout
        assert "OCSP status request" in done.stdout.split("- Options:")[1].split("\n")[0], done.stdout


def test_only_good_answers_are_stapled(ca, responder, origin, tmp_path):
    responder.other = ca.issue("other.test")
    for mode in ("try_later", "garbage", "error", "huge", "other", "not_allowed"):
        responder.mode = mode
        lineage = Lineage(tmp_path / mode, "a.test", ca.issue("a.test", ocsp_url=responder.url))
        asked = responder.requests
        with Genkan(tmp_path / mode, config(ca, lineage, origin, '[ocsp]\nfirst_response_wait = "1s"\n')) as genkan:
            eventually(lambda: responder.requests > asked, what=f"the responder is asked ({mode})")
            assert staple_of(genkan, ca) == "none", mode
            assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"
            eventually(lambda: "ocsp_failed" in genkan.log(), what=f"the cause is told ({mode})")


def refresh(genkan):
    return genkan.command("status", "--refresh").returncode == 0


def test_bad_answers_leave_the_last_good_one_and_are_told_once(ca, responder, lineage, origin, tmp_path):
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        assert staple_of(genkan, ca) == "good"
        responder.mode = "error"
        for _ in range(3):
            asked = responder.requests
            # While a question is under way a refresh adds none.
            eventually(lambda: refresh(genkan) and responder.requests > asked, longest=60, what="it is asked")
        eventually(lambda: "ocsp_failed" in genkan.log(), what="the cause is told")
        assert staple_of(genkan, ca) == "good"
        assert genkan.log().count("ocsp_failed") == 1
        responder.mode = "normal"
        eventually(lambda: refresh(genkan) and "ocsp_recovered" in genkan.log(), longest=60, what="it recovers")


def test_a_must_staple_certificate_without_a_staple_is_a_finding(ca, responder, origin, tmp_path):
    responder.mode = "try_later"
    issued = ca.issue("a.test", ocsp_url=responder.url, must_staple=True)
    lineage = Lineage(tmp_path, "a.test", issued)
    with Genkan(tmp_path, config(ca, lineage, origin, '[ocsp]\nfirst_response_wait = "100ms"\n')) as genkan:
        assert any("must-staple" in one for one in genkan.certificate()["findings"]), genkan.certificate()
        responder.mode = "normal"
        eventually(lambda: refresh(genkan) and not genkan.certificate()["findings"], longest=60,
                   what="with a staple there is no finding left")
        assert staple_of(genkan, ca) == "good"


def test_a_revoked_certificate_is_told_and_never_stapled(ca, responder, origin, tmp_path):
    issued = ca.issue("a.test", ocsp_url=responder.url)
    ca.revoke(issued)
    lineage = Lineage(tmp_path, "a.test", issued)
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        told = eventually(lambda: genkan.certificate()["revocation"] == "revoked" and genkan.certificate(),
                          what="the status says revoked")
        assert staple_of(genkan, ca) == "none"
        assert "revoked" in genkan.log(), told


def test_a_silent_responder_delays_the_start_by_no_more_than_it_may(ca, responder, lineage, origin, tmp_path):
    for mode in ("silent", "dripping"):
        responder.mode = mode
        hangs(ca, lineage, origin, tmp_path / mode)


def hangs(ca, lineage, origin, tmp_path):
    with Genkan(tmp_path, config(ca, lineage, origin, '[ocsp]\nfirst_response_wait = "1s"\n')) as genkan:
        began = time.monotonic()
        genkan.stop()
        genkan.start()
        assert 0.9 < time.monotonic() - began < 6
        began = time.monotonic()
        assert staple_of(genkan, ca) == "none"
        assert time.monotonic() - began < 2, "stapling trouble never delays a handshake"


def test_a_certificate_without_responder_is_no_trouble(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        assert staple_of(genkan, ca) == "none"
        assert not re.search(r"ocsp|staple", "\n".join(genkan.certificate()["findings"]), re.I)


def test_a_swap_waits_for_the_new_staple(ca, responder, lineage, origin, tmp_path):
    """No handshake between the old leaf's staple and the new leaf's: each new connection has one."""
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        fresh = ca.issue("a.test", ocsp_url=responder.url)
        lineage.renew(fresh)
        deadline = time.monotonic() + 10
        swaps = 0
        while swaps == 0:
            assert time.monotonic() < deadline, genkan.certificate()
            assert staple_of(genkan, ca) == "good"
            swaps = genkan.certificate()["swaps"]
        assert staple_of(genkan, ca) == "good"
