"""What programs and people do to certificate files: the one in service stays, the log says why once, good files are taken."""

import os
import shutil
import time

from support.ca import Lineage
from support.clients import curl, served_serial
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.mounts import genkan_in, inside

# Retry and debounce, and what a busy machine adds.
TAKEN_WITHIN = 60.0


def config(ca, sites, origin):
    return LISTENERS + f'[certificates]\ntrust_store = "{ca.root}"\n' + "".join(
        f'[[site]]\nnames = ["{name}"]\ncertificates = ["{path}"]\nupstream = "{origin.url}"\n' for name, path in sites)


def replace(path, text):
    """Another file under the same name."""
    fresh = path.parent.parent / f"{path.parent.name}.new"
    fresh.write_text(text)
    os.replace(fresh, path)


def texts_of(issued):
    return {"cert": issued.cert, "chain": issued.chain, "fullchain": issued.fullchain, "privkey": issued.key}


# Each ruins the files of a lineage whose certificate in service is `old`; `fresh` is a renewed one.

def truncated(lineage, fresh, ca):
    lineage.renew_with({**texts_of(fresh), "fullchain": fresh.fullchain[:400], "cert": fresh.cert[:400]})


def empty(lineage, fresh, ca):
    lineage.renew_with({**texts_of(fresh), "fullchain": "", "cert": ""})


def garbage(lineage, fresh, ca):
    lineage.renew_with({kind: "\0not a certificate\n" * 50 for kind in Lineage.KINDS})


def unreadable(lineage, fresh, ca):
    """Not a file at all: root may read everything else."""
    for kind in Lineage.KINDS:
        (lineage.path / f"{kind}.pem").unlink()
        os.mkfifo(lineage.path / f"{kind}.pem")


def removed(lineage, fresh, ca):
    shutil.rmtree(lineage.path)


def dangling(lineage, fresh, ca):
    for file in lineage.archive.iterdir():
        file.unlink()


def older(lineage, fresh, ca):
    lineage.renew(ca.issue(lineage.path.name, starts=-20, days=60))


def half(lineage, fresh, ca):
    for kind in ("cert", "fullchain"):
        (lineage.archive / f"{kind}9.pem").write_text(texts_of(fresh)[kind])
        (lineage.path / f"{kind}.pem").unlink()
        (lineage.path / f"{kind}.pem").symlink_to(f"../../archive/{lineage.path.name}/{kind}9.pem")


RUINS = (truncated, empty, garbage, unreadable, removed, dangling, older, half)


def clean(lineage):
    """What stands in the way of a renewal as certbot does it."""
    if lineage.path.is_dir():
        for one in lineage.path.iterdir():
            if not one.is_symlink() and not one.is_file():
                one.unlink()


def test_whatever_happens_to_the_files_the_old_one_stays_and_good_files_are_taken(ca, origin, tmp_path):
    lineages = {ruin: Lineage(tmp_path, f"{ruin.__name__}.test") for ruin in RUINS}
    served = {ruin: ca.issue(lineage.path.name) for ruin, lineage in lineages.items()}
    for ruin, lineage in lineages.items():
        lineage.renew(served[ruin])
    sites = [(lineage.path.name, lineage.path) for lineage in lineages.values()]
    with Genkan(tmp_path, config(ca, sites, origin)) as genkan:
        for ruin, lineage in lineages.items():
            ruin(lineage, ca.issue(lineage.path.name), ca)
        for ruin, lineage in lineages.items():
            name = lineage.path.name
            eventually(lambda: genkan.certificate(site=name)["last_refusal"], TAKEN_WITHIN, f"{name}: refused", every=0.2)
            assert served_serial(genkan.tls_port, name) == served[ruin].serial, name

        fresh = {ruin: ca.issue(lineage.path.name) for ruin, lineage in lineages.items()}
        time.sleep(0.5)  # part of what is tested: the key comes half a second after its certificate
        for ruin, lineage in lineages.items():
            clean(lineage)
            lineage.renew(fresh[ruin])
        for ruin, lineage in lineages.items():
            name = lineage.path.name
            eventually(lambda: served_serial(genkan.tls_port, name) == fresh[ruin].serial, TAKEN_WITHIN,
                       f"{name}: good files are taken", every=0.1)
            told = genkan.certificate(site=name)
            assert told["last_refusal"] == "" and told["swaps"] == 1, told
            assert told["refused_last"] and told["refused_last_at"], told
            lines = [line for line in genkan.log().splitlines()
                     if "cert_refused" in line and f"site={name} " in line]
            reasons = [line.split(' reason="')[1].split('" serving=')[0] for line in lines]
            assert lines and len(set(reasons)) == len(reasons), f"{name}: each reason once\n" + "\n".join(lines)
            assert all(' hint="' in line for line in lines), lines
        older_line = [line for line in genkan.log().splitlines() if "cert_refused" in line and "site=older.test" in line]
        assert "genkan reload --force" in older_line[0], older_line


def test_a_full_disk_stops_neither_the_swap_nor_the_program(ca, origin, tmp_path, monkeypatch):
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    state = tmp_path / "genkan" / "state"
    state.mkdir(parents=True)
    genkan_in(monkeypatch, tmp_path, f"mount -t tmpfs -o size=16k,mode=700 tmpfs '{state}'",
              f"dd if=/dev/zero of='{state}/ballast' bs=4k count=3 2>/dev/null")
    with Genkan(tmp_path, config(ca, [("a.test", lineage.path)], origin)) as genkan:
        inside(genkan, "sh", "-c", f"dd if=/dev/zero of='{state}/more' bs=1k count=64 2>/dev/null || true")
        fresh = ca.issue("a.test")
        lineage.renew(fresh)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == fresh.serial, TAKEN_WITHIN, "the renewed one serves")
        eventually(lambda: "state_write_failed" in genkan.log(), what="the log tells of the disk")
        assert curl(genkan, "a.test", ca=ca.root).stdout == "hello /\n"


def test_a_lineage_behind_a_bind_mount_is_watched(ca, origin, tmp_path, monkeypatch):
    """As a container sees a volume: the program of the other side writes to another path."""
    outside = Lineage(tmp_path / "outside", "a.test", ca.issue("a.test"))
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    genkan_in(monkeypatch, tmp_path, f"mount --bind '{tmp_path}/outside/letsencrypt' '{mounted}'")
    with Genkan(tmp_path, config(ca, [("a.test", mounted / "live" / "a.test")], origin)) as genkan:
        for _ in range(2):
            fresh = ca.issue("a.test")
            outside.renew(fresh)
            eventually(lambda: served_serial(genkan.tls_port, "a.test") == fresh.serial, TAKEN_WITHIN,
                       "what was written outside is served")


def test_a_lineage_on_an_overlay_is_watched(ca, origin, tmp_path, monkeypatch):
    """A certificate from an image's layer is renewed in the container's own."""
    lower = Lineage(tmp_path / "lower", "a.test", ca.issue("a.test"))
    layers, merged = tmp_path / "layers", tmp_path / "merged"
    layers.mkdir()
    merged.mkdir()
    genkan_in(monkeypatch, tmp_path, f"mount -t tmpfs tmpfs '{layers}'", f"mkdir '{layers}/upper' '{layers}/work'",
              f"mount -t overlay overlay -o 'lowerdir={tmp_path}/lower/letsencrypt,upperdir={layers}/upper,"
              f"workdir={layers}/work' '{merged}'")
    with Genkan(tmp_path, config(ca, [("a.test", merged / "live" / "a.test")], origin)) as genkan:
        for version in (2, 3):
            fresh = ca.issue("a.test")
            for kind, text in texts_of(fresh).items():
                (tmp_path / f"{kind}.pem").write_text(text)
            inside(genkan, "sh", "-ec", f"""for kind in cert chain fullchain privkey; do
                cp '{tmp_path}'/$kind.pem '{merged}'/archive/a.test/${{kind}}{version}.pem
                ln -s ../../archive/a.test/${{kind}}{version}.pem '{merged}'/live/a.test/.$kind.new
                mv '{merged}'/live/a.test/.$kind.new '{merged}'/live/a.test/$kind.pem
            done""")
            eventually(lambda: served_serial(genkan.tls_port, "a.test") == fresh.serial, TAKEN_WITHIN,
                       "what was written to the upper layer is served")
    assert lower.version == 1
