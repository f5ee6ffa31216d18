"""A renewed certificate takes over in the running program; a bad one does not."""

import subprocess
import threading
import time

import pytest

from support.ca import Lineage
from support.clients import curl, normal_serial, served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.routed_origin import RoutedOrigin


def config(ca, sites, origin):
    return LISTENERS + f'[certificates]\ntrust_store = "{ca.root}"\n' + "".join(
        f'[[site]]\nnames = ["{name}"]\ncertificates = ["{path}"]\nupstream = "{origin.url}"\n'
        for name, path in sites)


# The retry and the debounce, and what a busy machine adds: it tells a change that is noticed from one that waits for the
# look around that there is every minute.
TAKEN_WITHIN = 45.0


def serial_is(genkan, name, issued):
    return lambda: served_serial(genkan.tls_port, name) == issued.serial


def test_a_renewal_is_served_within_two_seconds_without_a_signal(ca, origin, tmp_path):
    first, other = ca.issue("a.test"), ca.issue("b.test")
    lineage, neighbour = Lineage(tmp_path, "a.test", first), Lineage(tmp_path, "b.test", other)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path), ("b.test", neighbour.path)], origin)) as genkan:
        pid = genkan.pid
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        for _ in range(3):
            fresh = ca.issue("a.test")
            lineage.renew(fresh)
            renewed = time.time()
            eventually(serial_is(genkan, "a.test", fresh), TAKEN_WITHIN, what="the renewed leaf is served")
            swapped = eventually(lambda: genkan.swapped_at(fresh.serial), what="the swap in the log")
            assert swapped - renewed < 2.0
        assert served_serial(genkan.tls_port, "b.test") == other.serial
        told = genkan.certificate(site="a.test")
        assert normal_serial(told["serial"]) == fresh.serial
        assert told["swaps"] == 3, told
        assert genkan.certificate(site="b.test")["swaps"] == 0
        assert genkan.pid == pid and genkan.is_running


def test_files_that_are_renamed_into_place_are_taken(ca, origin, tmp_path):
    """Not certbot's symlinks but plain files, each replaced by a rename, the key first."""
    folder = tmp_path / "certs"
    folder.mkdir()
    first = ca.issue("a.test")
    (folder / "a.pem").write_text(first.fullchain)
    (folder / "a.key").write_text(first.key)
    sites = f"""
[[site]]
names = ["a.test"]
certificates = [{{ certificate = "{folder}/a.pem", key = "{folder}/a.key" }}]
upstream = "{origin.url}"
"""
    with Genkan(tmp_path, LISTENERS + f'[certificates]\ntrust_store = "{ca.root}"\n' + sites) as genkan:
        fresh = ca.issue("a.test")
        for name, text in (("a.key", fresh.key), ("a.pem", fresh.fullchain)):
            (folder / f"{name}.new").write_text(text)
            (folder / f"{name}.new").rename(folder / name)
        eventually(serial_is(genkan, "a.test", fresh), longest=TAKEN_WITHIN, what="the renamed pair is served")


def broken(ca):
    """Renewals that must not be taken: name, files, what the reason has to say."""
    one, two = ca.issue("a.test"), ca.issue("a.test")
    whole = {"cert": one.cert, "chain": one.chain, "fullchain": one.fullchain, "privkey": one.key}
    expired = ca.issue("a.test", starts=-30, days=10)
    return [
        ("mismatch", {**whole, "privkey": two.key}, ("match",)),
        ("truncated", {**whole, "fullchain": one.fullchain[:300], "cert": one.cert[:300]}, ()),
        ("empty", {"cert": "", "chain": "", "fullchain": "", "privkey": ""}, ()),
        ("empty key", {**whole, "privkey": ""}, ()),
        ("expired", {"cert": expired.cert, "chain": expired.chain, "fullchain": expired.fullchain,
                     "privkey": expired.key}, ("expired",)),
    ]


def test_a_bad_pair_keeps_the_old_one_and_says_why(ca, origin, tmp_path):
    first = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        served = first
        for name, texts, words in broken(ca):
            lineage.renew_with(texts)
            # Files that flip one by one may be refused in their middle as well, for another reason.
            eventually(lambda: (told := genkan.certificate()["last_refusal"].lower()) and all(word in told for word in words),
                       TAKEN_WITHIN, what=f"a refusal of the {name} pair in the status")
            assert served_serial(genkan.tls_port, "a.test") == served.serial, name
            assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n", name

            good = ca.issue("a.test")
            lineage.renew(good)
            eventually(serial_is(genkan, "a.test", good), longest=TAKEN_WITHIN, what=f"good files after the {name} pair")
            assert genkan.certificate()["last_refusal"] == "", genkan.certificate()
            served = good


def test_a_half_written_renewal_is_taken_when_it_is_whole(ca, origin, tmp_path):
    """Another program than certbot: the files are overwritten in place, with a pause between certificate and key."""
    first = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        fresh = ca.issue("a.test")
        for kind, text in (("cert", fresh.cert), ("fullchain", fresh.fullchain)):
            (lineage.path / f"{kind}.pem").write_text(text)
        eventually(lambda: genkan.certificate()["last_refusal"], longest=TAKEN_WITHIN, what="the mismatch is seen")
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        (lineage.path / "privkey.pem").write_text(fresh.key)
        eventually(serial_is(genkan, "a.test", fresh), longest=TAKEN_WITHIN, what="the completed pair is served")


def test_a_download_goes_on_over_a_swap(ca, tmp_path):
    first, fresh = ca.issue("a.test"), ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    swapped = threading.Event()

    def halves(handler, _seen):
        """The second half only when the test has seen the swap."""
        handler.send_response(200)
        handler.send_header("Content-Length", str(300 * 1024))
        handler.end_headers()
        handler.wfile.write(b"d" * 150 * 1024)
        if swapped.wait(150):
            handler.wfile.write(b"d" * 150 * 1024)
    with RoutedOrigin({"/halves": halves}) as origin, \
            Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        out = tmp_path / "download"
        curl_args = ["curl", "-sS", "--cacert", ca.root, "--resolve", f"a.test:{genkan.tls_port}:127.0.0.1",
                     "--max-time", "150", "-N", "-o", out]
        downloads = [subprocess.Popen([str(arg) for arg in [*curl_args[:-1], f"{out}{n}", version,
                                                            genkan.url("a.test", "/halves")]])
                     for n, version in enumerate(("--http1.1", "--http2"))]
        try:
            eventually(lambda: all((tmp_path / f"download{n}").exists() and
                                   (tmp_path / f"download{n}").stat().st_size > 0 for n in (0, 1)),
                       what="both downloads have begun")
            lineage.renew(fresh)
            eventually(serial_is(genkan, "a.test", fresh), TAKEN_WITHIN, what="the renewed leaf is served")
            assert all(one.poll() is None for one in downloads), "the downloads were over before the swap"
            swapped.set()
            assert [one.wait(60) for one in downloads] == [0, 0]
        finally:
            swapped.set()
            for one in downloads:
                one.kill()
                one.wait()
        assert [(tmp_path / f"download{n}").read_bytes() for n in (0, 1)] == [b"d" * 300 * 1024] * 2


def test_a_lineage_that_appears_later_is_taken(ca, origin, tmp_path):
    lineage = Lineage(tmp_path, "a.test")
    other = Lineage(tmp_path / "other", "b.test", ca.issue("b.test"))
    sites = [("b.test", other.path), ("a.test", lineage.path)]
    with Genkan(tmp_path, config(ca, sites, origin)) as genkan:
        assert curl(genkan, "b.test", ca=ca.root).stdout == "hello /\n"
        assert served_serial(genkan.tls_port, "a.test") is None, "no certificate is served that does not fit"
        issued = ca.issue("a.test")
        lineage.renew(issued)
        eventually(serial_is(genkan, "a.test", issued), longest=TAKEN_WITHIN, what="the new lineage is served")


def test_a_restart_with_broken_files_starts_from_the_last_good(ca, origin, tmp_path):
    first = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        kept = eventually(lambda: list((genkan.state_dir / "last_good").glob("a.test/*.pem")), what="it is kept")
        assert [one.stat().st_mode & 0o777 for one in (kept[0].parent.parent, kept[0].parent, *kept)] == [0o700, 0o700, 0o600]
        assert genkan.stop() == 0
        lineage.renew_with({"fullchain": "nothing of use\n", "privkey": ""})
        genkan.start()
        assert served_serial(genkan.tls_port, "a.test") == first.serial
        assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"
        assert "privkey" in genkan.certificate()["last_refusal"]
        genkan.logs("cert_last_good")

        fresh = ca.issue("a.test")
        lineage.renew(fresh)
        eventually(serial_is(genkan, "a.test", fresh), longest=TAKEN_WITHIN, what="good files are taken again")
        genkan.restart()
        assert served_serial(genkan.tls_port, "a.test") == fresh.serial


def test_files_that_went_back_in_time_are_refused_at_a_start_until_forced(ca, origin, tmp_path):
    old, fresh = ca.issue("a.test", starts=-30, days=90), ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", fresh)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        eventually(lambda: list((genkan.state_dir / "last_good").glob("a.test/*.pem")), what="it is kept")
        assert genkan.stop() == 0
        lineage.renew(old)
        genkan.start()
        assert served_serial(genkan.tls_port, "a.test") == fresh.serial
        assert genkan.certificate()["last_refusal"], genkan.certificate()
        assert genkan.reload("--force").returncode == 0
        eventually(serial_is(genkan, "a.test", old), longest=TAKEN_WITHIN, what="the forced certificate is served")


@pytest.mark.parametrize("order", [("privkey", "fullchain", "cert", "chain"),
                                   ("chain", "cert", "fullchain", "privkey")])
def test_symlinks_that_flip_one_by_one_never_show_a_mismatch(ca, origin, tmp_path, order):
    first = ca.issue("a.test")
    lineage = Lineage(tmp_path, "a.test", first)
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        fresh = ca.issue("a.test")
        texts = {"cert": fresh.cert, "chain": fresh.chain, "fullchain": fresh.fullchain, "privkey": fresh.key}
        lineage.version += 1
        for kind in order:
            (lineage.archive / f"{kind}{lineage.version}.pem").write_text(texts[kind])
        for kind in order:
            link = lineage.path / f"{kind}.pem"
            link.unlink()
            link.symlink_to(f"../../archive/a.test/{kind}{lineage.version}.pem")
            assert served_serial(genkan.tls_port, "a.test") in (first.serial, fresh.serial)
            assert curl(genkan, "a.test", ca=ca.root).returncode == 0
            time.sleep(0.05)  # part of what is tested: the renewal is not one instant
        eventually(serial_is(genkan, "a.test", fresh), longest=TAKEN_WITHIN, what="the renewed leaf is served")
