"""OCSP staples: the first handshake has one, also right after a restart with the responder away."""

import re
import time

import pytest

from support.ca import Lineage, OcspResponder
from support.clients import curl, normal_serial, s_client, served_serial
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan


# The start waits for the first answer, however busy the machine is.
PATIENT = '[ocsp]\nfirst_response_wait = "60s"\n'


def config(ca, lineage, origin, more=PATIENT):
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


def staple_of(genkan, ca, name="a.test"):
    """What s_client says of the staple: "good", "revoked", "none"."""
    said = s_client(genkan.tls_port, name, "-status", ca=ca.root)
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
        saved = tmp_path / "staple"
        done = run(["gnutls-cli", "--x509cafile", ca.root, "--sni-hostname", "a.test", "--verify-hostname",
                    "a.test", "--ocsp", f"--save-ocsp={saved}", "-p", genkan.tls_port, "127.0.0.1"], input="")
        assert done.returncode == 0, done
        assert "- Status: The certificate is trusted." in done.stdout, done.stdout
        assert "OCSP status request" in done.stdout.split("- Options:")[1].split("\n")[0], done.stdout
        assert saved.read_bytes() == responder.answers[-1], "the responder's very answer"


def test_the_two_certificates_of_a_name_have_a_staple_each(ca, responder, origin, tmp_path):
    issued = {kind: ca.issue("a.test", ocsp_url=responder.url, kind=kind) for kind in ("ec", "rsa")}
    paths = ", ".join(f'"{Lineage(tmp_path, kind, one).path}"' for kind, one in issued.items())
    site = f'[[site]]\nnames = ["a.test"]\ncertificates = [{paths}]\nupstream = "{origin.url}"\n'
    with Genkan(tmp_path, LISTENERS + f'{PATIENT}[certificates]\ntrust_store = "{ca.root}"\n{site}') as genkan:
        for kind, algorithm in (("ec", "ECDSA+SHA256"), ("rsa", "RSA-PSS+SHA256")):
            said = s_client(genkan.tls_port, "a.test", "-status", "-sigalgs", algorithm, ca=ca.root)
            assert "Cert Status: good" in said, said
            # Of the answer, and of the leaf that was sent.
            told = re.search(r"Serial Number: ([0-9A-F]+)", said).group(1)
            assert normal_serial(told) == issued[kind].serial, said
            sent = re.search(r"Server certificate\n(.*?-----END CERTIFICATE-----\n)", said, re.S).group(1)
            assert sent.split() == issued[kind].cert.split(), said


# What the log says of each.
CAUSES = {"error": "status 500", "garbage": "not an OCSP response", "try_later": "trylater",
          "other": "for another certificate", "bad_signature": "a bad signature", "not_allowed": r"\(OCSPSigning\)",
          "expired": "expired at", "future": "from the future", "huge": "more than 65536 bytes"}
assert set(CAUSES) == set(OcspResponder.BAD_MODES)


def refresh(genkan):
    return genkan.command("status", "--refresh").returncode == 0


def ask_again(genkan, responder, *modes):
    """Refreshes until the responder has been asked once more. While a question is under way a refresh adds none."""
    before = dict(responder.asked)
    eventually(lambda: refresh(genkan) and all(responder.asked[mode] > before.get(mode, 0) for mode in modes),
               longest=60, what=f"it is asked again {modes}")


def failures(genkan, name=""):
    """What was told of answers that are no good, a text a line."""
    return re.findall(rf"ocsp_failed certificate=\S*{re.escape(name)} .*?error=\"(.*?)\" retry_s", genkan.log())


def test_only_good_answers_are_stapled(ca, responder, origin, tmp_path):
    """Nine certificates, each with another answer of its responder."""
    responder.other = ca.issue("other.test")
    modes = responder.BAD_MODES
    names = {mode: mode.replace("_", "-") + ".test" for mode in modes}
    sites = ""
    for mode, name in names.items():
        lineage = Lineage(tmp_path, mode, ca.issue(name, ocsp_url=responder.url_of(mode)))
        sites += f'[[site]]\nnames = ["{name}"]\ncertificates = ["{lineage.path}"]\nupstream = "{origin.url}"\n'
    with Genkan(tmp_path, LISTENERS + f'[certificates]\ntrust_store = "{ca.root}"\n{sites}') as genkan:
        for mode in modes:
            told = eventually(lambda mode=mode: failures(genkan, mode), longest=60, what=f"the cause ({mode})")
            assert re.search(CAUSES[mode], told[0]), (mode, told)
        for _ in range(2):
            ask_again(genkan, responder, *modes)
        for mode, name in names.items():
            assert staple_of(genkan, ca, name) == "none", mode
            assert curl(genkan, name, ca=ca.root).stdout == "hello /\n"
            assert len(failures(genkan, mode)) == 1, (mode, failures(genkan, mode))


def test_bad_answers_leave_the_last_good_one_and_each_cause_is_told_once(ca, responder, lineage, origin, tmp_path):
    responder.other = ca.issue("other.test")
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        assert staple_of(genkan, ca) == "good"
        for count, mode in enumerate(responder.BAD_MODES, 1):
            responder.mode = mode
            ask_again(genkan, responder, mode)
            told = eventually(lambda count=count: len(failures(genkan)) >= count and failures(genkan), longest=60,
                              what=f"the cause ({mode})")
            assert re.search(CAUSES[mode], told[-1]), (mode, told)
            ask_again(genkan, responder, mode)
            ask_again(genkan, responder, mode)
            assert len(failures(genkan)) == count, (mode, failures(genkan))
            assert staple_of(genkan, ca) == "good", mode
            assert genkan.certificate()["revocation"] == "good", mode
        responder.mode = "normal"
        eventually(lambda: refresh(genkan) and "ocsp_recovered" in genkan.log(), longest=60, what="it recovers")


def test_the_last_good_answer_is_stapled_until_it_expires(ca, responder, lineage, origin, tmp_path):
    responder.times = (-3600, 40)
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        assert staple_of(genkan, ca) == "good"
        responder.stop()
        eventually(lambda: refresh(genkan) and failures(genkan), longest=60, what="the failure")
        eventually(lambda: staple_of(genkan, ca) == "none", longest=90, every=0.5, what="its end")
        assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"
        # Also after a restart: what is on disk is no good any more.
        genkan.restart()
        assert staple_of(genkan, ca) == "none"
        responder.times = None
        responder.start()
        eventually(lambda: refresh(genkan) and staple_of(genkan, ca) == "good", longest=90, what="a fresh one")


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
        assert told["revocation_why"], told
        genkan.logs("revoked")


def test_a_silent_responder_delays_the_start_by_no_more_than_it_may(ca, responder, lineage, origin, tmp_path):
    for mode in ("silent", "dripping"):
        responder.mode = mode
        hangs(ca, lineage, origin, tmp_path / mode)


def hangs(ca, lineage, origin, tmp_path):
    with Genkan(tmp_path, config(ca, lineage, origin, '[ocsp]\nfirst_response_wait = "1s"\n')) as genkan:
        began = time.monotonic()
        genkan.stop()
        genkan.start()
        assert 0.9 < time.monotonic() - began < 9, "a question is given up after ten seconds"
        began = time.monotonic()
        assert staple_of(genkan, ca) == "none"
        assert time.monotonic() - began < 9, "stapling trouble never delays a handshake"


def test_a_responder_that_is_down_delays_nothing_and_is_asked_again(ca, responder, lineage, origin, tmp_path):
    responder.stop()
    with Genkan(tmp_path, config(ca, lineage, origin, '[ocsp]\nfirst_response_wait = "60s"\n')) as genkan:
        # It serves already, well before the time that a start may wait: refused is an answer.
        assert staple_of(genkan, ca) == "none"
        told = eventually(lambda: failures(genkan), what="the failure")
        assert "connect" in told[0], told
        responder.start()
        eventually(lambda: refresh(genkan) and staple_of(genkan, ca) == "good", longest=60, what="a staple")


def test_a_swap_to_a_must_staple_certificate_waits_for_its_staple(ca, responder, origin, tmp_path):
    """Longer than the ten seconds that any other swap waits."""
    first, second = (ca.issue("a.test", ocsp_url=responder.url, must_staple=True) for _ in range(2))
    lineage = Lineage(tmp_path, "a.test", first)
    with Genkan(tmp_path, config(ca, lineage, origin)) as genkan:
        assert staple_of(genkan, ca) == "good"
        responder.mode = "try_later"
        lineage.renew(second)
        eventually(lambda: failures(genkan), longest=60, what="its responder's no")
        end = time.monotonic() + 12
        while time.monotonic() < end:
            assert served_serial(genkan.tls_port, "a.test") == first.serial
            assert staple_of(genkan, ca) == "good"
            time.sleep(1)
        responder.mode = "normal"
        eventually(lambda: refresh(genkan) and served_serial(genkan.tls_port, "a.test") == second.serial, longest=60,
                   what="the swap")
        assert staple_of(genkan, ca) == "good"


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
        deadline = time.monotonic() + 60
        swaps = 0
        while swaps == 0:
            assert time.monotonic() < deadline, genkan.certificate()
            assert staple_of(genkan, ca) == "good"
            swaps = genkan.certificate()["swaps"]
        assert staple_of(genkan, ca) == "good"
