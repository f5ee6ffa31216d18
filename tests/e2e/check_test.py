"""genkan check: every site of a configuration seen as each kind of client, each mistake by its own code.

The same codes are in the status, the log and the metrics of the proxy that runs it all the same.
"""

import json

import pytest

from support.authority import Authority
from support.ca import Lineage, OcspResponder
from support.clients import curl
from support.eventually import eventually, run
from support.genkan import TLS, Genkan, genkan_command
from support.topologies import Topology

SITE = """
[[site]]
names = [{names}]
certificates = ["{path}"]
upstream = "{upstream}"
"""


def check(path):
    done = genkan_command("check", "-c", str(path), "--json")
    report = json.loads(done.stdout)
    assert report["schema"] == 1
    report["exit"] = done.returncode
    return report


def codes(report, site):
    return sorted({finding["code"] for finding in report["findings"] if finding["site"] == site})


def sites(folder, ca):
    """Names of sites -> their lineages, one good and one of each mistake."""
    good, other = ca.issue("good.test"), ca.issue("good.test")
    lineages = {"good.test": Lineage(folder, "good.test", good)}
    key = Lineage(folder, "key.test")
    key.renew_with({"cert": ca.issue("key.test").cert, "chain": good.chain, "privkey": other.key})
    kind = Lineage(folder, "kind.test")
    kind.renew_with({"cert": ca.issue("kind.test").cert, "chain": good.chain,
                     "privkey": ca.issue("kind.test", kind="rsa").key})
    alone = Lineage(folder, "alone.test")
    leaf = ca.issue("alone.test")
    alone.renew_with({"cert": leaf.cert, "privkey": leaf.key})
    lineages |= {"key.test": key, "kind.test": kind, "alone.test": alone}
    for name, issued in (("expired.test", ca.issue("expired.test", starts=-100)),
                         ("late.test", ca.issue("late.test", starts=-80)),
                         ("name.test", ca.issue("elsewhere.test")),
                         ("staple.test", ca.issue("staple.test", must_staple=True))):
        lineages[name] = Lineage(folder, name, issued)
    return lineages


EXPECTED = {
    "good.test": [],
    "key.test": ["KEY_MISMATCH"],
    "kind.test": ["KEY_MISMATCH"],
    "alone.test": ["CHAIN_MISSING_INTERMEDIATE"],
    "expired.test": ["LEAF_EXPIRED"],
    "late.test": ["LEAF_EXPIRES_SOON"],
    "name.test": ["NAME_MISMATCH"],
    "staple.test": ["MUST_STAPLE_WITHOUT_RESPONDER"],
}


def test_each_mistake_has_its_code_in_check_status_log_and_metrics(ca, origin, tmp_path):
    lineages = sites(tmp_path, ca)
    config = f'[certificates]\ntrust_store = "{ca.root}"\n{TLS}' + "".join(
        SITE.format(names=f'"{name}"', path=lineage.path, upstream=origin.url) for name, lineage in lineages.items())
    with Genkan(tmp_path, config) as genkan:
        report = check(genkan.config_path)
        assert (report["exit"], report["result"]) == (2, "broken")
        for name, expected in EXPECTED.items():
            assert codes(report, name) == expected, (name, report["findings"])
        verdicts = {one["site"]: one.get("verdicts", {}) for one in report["certificates"]}
        assert all(verdict["accepted"] for verdict in verdicts["good.test"].values())
        assert not any(verdict["accepted"] for verdict in verdicts["alone.test"].values())
        # A broken one keeps no other from being served, and all of them say why.
        assert curl(genkan, "good.test", ca=ca.root).returncode == 0
        for name, expected in EXPECTED.items():
            status = genkan.certificate(site=name)
            assert sorted(set(status["finding_codes"])) == expected, (name, status)
            assert len(status["finding_codes"]) == len(status["findings"])
        text = genkan.command("status").stdout
        metrics = run(["curl", "-sS", "--unix-socket", genkan.socket, "http://admin/metrics"], check=True).stdout
        for name, expected in EXPECTED.items():
            for code in expected:
                assert f"({code})" in text
                assert f'genkan_certificate_finding{{site="{name}"' in metrics and f'code="{code}"' in metrics
                eventually(lambda c=code: f"code={c} " in genkan.log(), what=f"{code} in the log")
        assert 'genkan_certificate_finding{site="good.test"' not in metrics


def test_a_good_configuration_is_0_and_one_that_will_break_is_1(ca, origin, tmp_path):
    for days, expected in ((90, 0), (-1, 1)):
        folder = tmp_path / str(expected)
        issued = ca.issue("a.test", starts=-1 if days > 0 else -80)
        lineage = Lineage(folder, "a.test", issued)
        path = folder / "genkan.toml"
        path.write_text(f'state_dir = "{folder}"\n[certificates]\ntrust_store = "{ca.root}"\n{TLS}'
                        + SITE.format(names='"a.test"', path=lineage.path, upstream=origin.url))
        assert check(path)["exit"] == expected


@pytest.mark.parametrize("source", ["ocsp", "crl"])
def test_what_the_proxy_was_told_of_a_revocation_makes_check_say_broken(ca, origin, tmp_path, source):
    """Nobody is asked by `check`: the proxy has the answer or the list in its state_dir, running or not."""
    with OcspResponder(ca) as responder, Authority(ca) as authority:
        url = {"ocsp_url": responder.url} if source == "ocsp" else {"crl_url": authority.crl_url}
        issued = ca.issue("a.test", **url)
        config = f'[certificates]\ntrust_store = "{ca.root}"\n{TLS}' + SITE.format(
            names='"a.test"', path=Lineage(tmp_path, "a.test", issued).path, upstream=origin.url)
        with Genkan(tmp_path, config) as genkan:
            eventually(lambda: genkan.certificate()["revocation"] == "good", longest=60, what="it is good")
            assert check(genkan.config_path)["exit"] == 0
            ca.revoke(issued, "keyCompromise")
            authority.publish()
            assert genkan.command("status", "--refresh").returncode == 0
            eventually(lambda: genkan.certificate()["revocation"] == "revoked", longest=60, what="it is revoked")
            assert check(genkan.config_path)["exit"] == 2
            assert genkan.stop() == 0
            path = genkan.config_path
        asked = responder.requests, authority.crl_requests
    report = check(path)
    assert (report["exit"], report["result"]) == (2, "broken")
    assert codes(report, "a.test") == ["REVOKED"]
    finding = report["findings"][0]
    assert "revoked" in finding["text"] and "keyCompromise" in finding["text"], finding
    done = genkan_command("check", "-c", str(path))
    assert done.returncode == 2 and "revoked" in done.stdout, done
    assert (responder.requests, authority.crl_requests) == asked


@pytest.mark.parametrize("has_expired_root", [True, False])
def test_the_cross_sign_of_2021_is_left_out_and_all_clients_accept(origin, tmp_path, has_expired_root):
    topology = Topology(tmp_path)
    old = topology.root("DST Root CA X3", days=990)
    x1 = topology.root("ISRG Root X1")
    cross = topology.cross("ISRG Root X1", old)
    r3 = topology.authority("R3", x1)
    leaf = topology.leaf("a.test", r3)
    files = tmp_path / "files"
    files.mkdir()
    (files / "fullchain.pem").write_text(leaf.pem + r3.pem + cross.pem + (old.pem if has_expired_root else ""))
    (files / "privkey.pem").write_text(leaf.key)
    path = tmp_path / "genkan.toml"
    path.write_text(f'state_dir = "{tmp_path}"\n[certificates]\ntrust_store = "{topology.store(x1, old)}"\n{TLS}'
                    + SITE.format(names='"a.test"', path=files, upstream=origin.url))
    report = check(path)
    assert report["exit"] == 0
    certificate = report["certificates"][0]
    assert certificate["chain"] == ["CN=a.test", "CN=R3"]
    assert all(certificate["verdicts"][client]["accepted"] for client in ("modern", "openssl_1_0", "gnutls_2020"))
