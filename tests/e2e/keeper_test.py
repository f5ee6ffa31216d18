"""Started as root, serving as nobody: what only root may read is watched and read by the keeper, and nothing else."""

import contextlib
import os
import signal
import socket
import struct
import tempfile
import threading
from pathlib import Path

import pytest

from support.authority import Authority
from support.ca import Lineage
from support.clients import curl, curl_status, served_serial
from support.eventually import eventually, run
from support.genkan import LISTENERS, Genkan
from support.pebble import Certbot, Pebble
from support.quick_origin import QuickOrigin
from support.stolen import (DONE, ERROR, LIST, LISTEN, READ_FILE, RUN_HOOK, SAVE_GOOD, STATE, StolenSocket, children,
                            uids)

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root has privileges to drop")

NOBODY = 65534
CONFIG = 'user = "nobody"\n' + LISTENERS + """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{upstream}"
"""


@pytest.fixture(name="folder")
def _folder():
    """pytest's own folders are closed to other users, and an unprivileged proxy has to get to its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def root_only(lineage):
    """As certbot leaves it: live/ and archive/ are 0700, the key is 0600."""
    for folder in (lineage.path.parent, lineage.archive.parent):
        folder.chmod(0o700)


@pytest.fixture(name="lineage")
def _lineage(ca, folder):
    lineage = Lineage(folder, "a.test", ca.issue("a.test"))
    root_only(lineage)
    return lineage


@pytest.fixture(name="genkan")
def _genkan(lineage, folder, origin):
    with Genkan(folder, CONFIG.format(lineage=lineage.path, upstream=origin.url)) as genkan:
        yield genkan


def test_certbot_as_root_renews_for_a_proxy_that_is_nobody(ca, folder):
    """Pebble and the real certbot: live/ and archive/ are root's alone, nobody is told of the renewal."""
    certbot_folder = folder / "certbot"
    text = f"""
[acme_challenge]
webroot = ["{certbot_folder}/webroot"]
"""
    with QuickOrigin() as origin:
        config = CONFIG.format(lineage=certbot_folder / "config" / "live" / "a.test", upstream=origin.url)
        with Genkan(folder, config + text) as genkan, Pebble(folder, ca, http_port=genkan.plain_port) as pebble:
            certbot = Certbot(folder, pebble, ca)
            certbot.issue("a.test")
            first = eventually(lambda: served_serial(genkan.tls_port, "a.test"), longest=60,
                               what="the issued certificate")
            for closed in (certbot.live("a.test").parent, certbot.folder / "config" / "archive"):
                assert (closed.stat().st_uid, closed.stat().st_mode & 0o77) == (0, 0), closed
            key = (certbot.live("a.test") / "privkey.pem").resolve()
            assert (key.stat().st_uid, key.stat().st_mode & 0o777) == (0, 0o600)
            certbot.renew()
            renewed = eventually(lambda: served_serial(genkan.tls_port, "a.test") not in (None, first), longest=60,
                                 what="the renewed certificate")
            assert renewed and uids(genkan.pid) == {NOBODY}
            assert genkan.certificate(site="a.test")["swaps"] == 1


def keeper_of(genkan):
    """Its process id: the one child that is root."""
    found = [pid for pid in children(genkan.pid) if uids(pid) == {0}]
    assert len(found) == 1, found
    return found[0]


def is_alive(pid):
    """Runs: is there and no zombie that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_proxy_is_nobody_and_the_keeper_is_root(ca, genkan):
    assert uids(genkan.pid) == {NOBODY}
    status = Path(f"/proc/{genkan.pid}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapPrm:\t0000000000000000" in status and "CapEff:\t0000000000000000" in status
    keeper = keeper_of(genkan)
    assert Path(f"/proc/{keeper}/comm").read_text().strip() == "genkan-keeper"
    assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"


def test_a_renewal_that_only_root_can_read_is_swapped_in_by_itself(ca, genkan, lineage):
    first = served_serial(genkan.tls_port, "a.test")
    for _ in range(2):
        issued = ca.issue("a.test")
        lineage.renew(issued)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == issued.serial, longest=60,
                   what="the renewed certificate")
        assert issued.serial != first
    assert "keeper_refused" not in genkan.log()


def test_a_lineage_that_comes_later_is_found(ca, folder, origin):
    lineage = Lineage(folder, "a.test")
    lineage.path.parent.mkdir(parents=True)
    lineage.archive.parent.mkdir(parents=True)
    root_only(lineage)
    with Genkan(folder, CONFIG.format(lineage=lineage.path, upstream=origin.url)) as genkan:
        assert served_serial(genkan.tls_port, "a.test") is None
        issued = ca.issue("a.test")
        lineage.renew(issued)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == issued.serial, longest=60,
                   what="the first certificate")


def test_a_revocation_runs_the_hook_as_root_and_the_standby_takes_over(ca, folder, origin):
    noted = folder / "noted"
    noted.mkdir(mode=0o700)
    hook = folder / "hook"
    hook.write_text(f'#!/bin/sh\necho "$(id -u) $(id -ru) $(id -g) $1 $2 $GENKAN_STATE" >> {noted}/ran\n')
    hook.chmod(0o755)
    root = folder / "root.pem"
    root.write_text(ca.root.read_text())
    with Authority(ca) as authority:
        first, spare = ca.issue("a.test", crl_url=authority.crl_url), ca.issue("a.test")
        lineage, standby = Lineage(folder, "a.test", first), Lineage(folder, "spare", spare)
        root_only(lineage)
        config = CONFIG.format(lineage=lineage.path, upstream=origin.url) + f"""standby = "{standby.path}"
[certificates]
trust_store = "{root}"
[revocation]
on_revoked = ["{hook}", "{{lineage}}", "as it is"]
"""
        with Genkan(folder, config) as genkan:
            eventually(lambda: genkan.certificate(name="a.test")["revocation"] == "good", longest=60,
                       what="the list says good")
            assert uids(genkan.pid) == {NOBODY}
            assert served_serial(genkan.tls_port, "a.test") == first.serial
            assert not (noted / "ran").exists()

            ca.revoke(first)
            authority.publish()
            assert genkan.command("status", "--refresh").returncode == 0
            eventually(lambda: served_serial(genkan.tls_port, "a.test") == spare.serial, longest=60,
                       what="the standby is served")
            eventually(lambda: genkan.certificate(name="a.test")["hook"] == "ran", longest=60, what="the hook's end")
            assert (noted / "ran").read_text() == "0 0 0 a.test as it is revoked\n"
            assert (noted / "ran").stat().st_uid == 0
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
            assert "keeper_refused" not in genkan.log()


def test_the_last_good_certificate_is_roots_and_is_started_from(ca, genkan, lineage):
    kept = genkan.state_dir / "last_good"
    serial = served_serial(genkan.tls_port, "a.test")
    one, = eventually(lambda: list(kept.glob("a.test/*.pem")), what="the last good certificate")
    for folder in (kept, one.parent):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (0, 0o700)
    assert (one.stat().st_uid, one.stat().st_mode & 0o777) == (0, 0o600)
    (lineage.archive / "privkey1.pem").write_text("broken")
    # As an earlier version left it.
    assert genkan.stop() == 0
    one.rename(kept / f"s_a.test-{one.name}")
    one.parent.rmdir()
    genkan.start()
    assert served_serial(genkan.tls_port, "a.test") == serial
    assert [str(path.relative_to(kept)) for path in kept.rglob("*.pem")] == [f"a.test/{one.name}"]
    genkan.logs("cert_last_good")


def test_lists_and_passwords_that_only_root_can_read_are_read_when_they_change(ca, folder, lineage, origin):
    """And new ones at a reload; a file that no key of a module names as one is not."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    users, blocked, later = (closed / name for name in ("htpasswd", "blocked.txt", "later.txt"))

    def write(path, text):
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").chmod(0o600)
        path.with_suffix(".new").rename(path)

    def password_of(name):
        return run(["htpasswd", "-nbB", "-C", "4", name, "password"], check=True).stdout

    def status(*args):
        return curl_status(genkan, "a.test", "/", *args, ca=ca.root)
    write(users, password_of("alice"))
    write(blocked, "192.0.2.0/24\n")
    write(later, "192.0.2.0/24\n127.0.0.0/8\n")
    text = CONFIG.format(lineage=lineage.path, upstream=origin.url) + """modules = ["staff", "office"]
[module.staff]
use  = "basic_auth"
file = "{users}"
[module.office]
use        = "ip_filter"
deny_files = ["{blocked}"]
"""
    with Genkan(folder, text.format(users=users, blocked=blocked)) as genkan:
        alice, bob = ("-u", "alice:password"), ("-u", "bob:password")
        assert (status(*alice), status(*bob)) == (200, 401)
        write(users, password_of("bob"))
        eventually(lambda: (status(*alice), status(*bob)) == (401, 200), longest=60, what="the new passwords")
        genkan.write_config(text.format(users=users, blocked=later))
        done = genkan.reload()
        assert done.returncode == 0, done.stderr
        eventually(lambda: status(*bob) == 403, longest=60, what="the new list, which only root can read")
        assert genkan.reload().returncode == 0, "with nothing changed"
        write(later, "192.0.2.0/24\n")
        eventually(lambda: status(*bob) == 200, longest=60, what="the new list")
        assert "keeper_refused" not in genkan.log() and "module_file_refused" not in genkan.log()
        # What is there but cannot be used is told, and all stays as it is.
        write(closed / "bad.txt", "no network\n")
        genkan.write_config(text.format(users=users, blocked=closed / "bad.txt"))
        done = genkan.reload()
        assert done.returncode == 2 and "bad.txt:1" in done.stderr, done
        assert status(*bob) == 200


def free_low_port():
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no free port below 1024")


def test_a_reload_opens_what_only_root_may_open(ca, genkan, lineage, folder, origin):
    config = CONFIG.format(lineage=lineage.path, upstream=origin.url)
    closed = folder / "closed"
    closed.mkdir(mode=0o755)
    port = free_low_port()
    genkan.write_config(config + f'\n[[listener]]\naddress = "127.0.0.1:{port}"\n'
                        f'[[listener]]\naddress = "unix:{closed}/web.sock"\n')
    done = genkan.reload()
    assert done.returncode == 0, done.stderr + done.stdout
    for family, address in ((socket.AF_INET, ("127.0.0.1", port)), (socket.AF_UNIX, str(closed / "web.sock"))):
        with socket.socket(family) as client:
            client.settimeout(60)
            client.connect(address)
            client.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            assert client.recv(12).startswith(b"HTTP/1.1 30")
    # And a configuration that is refused changes nothing.
    genkan.write_config(config + '\n[[listener]]\naddress = "203.0.113.1:80"\n')
    assert genkan.reload().returncode != 0
    assert len(genkan.status()["listeners"]) == 4


def states(pid):
    """Of all threads: R, S, D, T …"""
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")}


@contextlib.contextmanager
def stolen_socket(genkan):
    """The proxy's socket to its keeper, with the proxy stopped, so that no question of its own crosses ours."""
    kept = genkan.state_dir / "last_good"
    eventually(lambda: list(kept.glob("*/*.pem")) and genkan.status()["certificates"][0]["proof"] == "proved",
               what="nothing is left to ask for")

    def stopped():
        """It asks now and then (a lineage that is no good, every five seconds): not in the middle of that."""
        os.kill(genkan.pid, signal.SIGSTOP)
        eventually(lambda: states(genkan.pid) == {"T"}, what="all its threads stand still")
        # Asleep: it waits for a question.
        eventually(lambda: states(keeper_of(genkan)) == {"S"}, what="the keeper has answered")
        keeper = StolenSocket(genkan.pid)
        if not keeper.has_answer():
            return keeper
        keeper.close()
        os.kill(genkan.pid, signal.SIGCONT)
        return None
    keeper = eventually(stopped, what="a proxy that asks nothing")
    try:
        yield keeper
    finally:
        keeper.close()
        os.kill(genkan.pid, signal.SIGCONT)


def test_a_proxy_that_was_taken_over_gets_nothing_but_what_is_named(genkan, lineage, folder):
    secret = folder / "secret.pem"
    secret.write_text("secret")
    secret.chmod(0o600)
    asked = {
        READ_FILE: ["/etc/shadow", f"{lineage.path}/../../../secret.pem", str(secret), "/proc/self/environ", "",
                    f"{lineage.path}/../a.test/privkey.pem", f"{lineage.archive}/privkey1.pem"],
        LIST: ["/root", "/etc", f"{lineage.path}/.."],
        STATE: ["/root/.ssh", "/etc"],
        LISTEN: ["127.0.0.1:22", "0.0.0.0:80", "unix:/run/other.sock", "nonsense"],
        SAVE_GOOD: ["../../etc/cron.d/evil", "/etc/passwd", ".hidden", ""],
    }
    with stolen_socket(genkan) as keeper:
        for op, texts in asked.items():
            for text in texts:
                answer, _, said, descriptors = keeper.ask(op, text, number=1)
                assert (answer, descriptors) == (ERROR, []), (op, text, said)
                assert len(said) == 1 and b":$" not in said[0], "a sentence, not a password file"
        argv = [b"name", struct.pack("=q", 1000), struct.pack("=I", 2), b"/bin/touch", str(folder / "ran").encode()]
        assert keeper.ask(RUN_HOOK, *argv, number=7)[0] == ERROR
        assert not (folder / "ran").exists()
        # What is named it gets.
        answer, _, _, descriptors = keeper.ask(READ_FILE, f"{lineage.path}/privkey.pem")
        assert answer == DONE and len(descriptors) == 1
        with open(descriptors[0]) as key:
            assert "PRIVATE KEY" in key.read()
    eventually(lambda: 'wanted=read about="/etc/shadow"' in genkan.log(), what="the refusal in the log")


def test_a_link_that_another_user_laid_does_not_lead_to_roots_files(genkan, lineage, folder, ca, origin):
    theirs = folder / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY, NOBODY)
    (theirs / "privkey.pem").symlink_to("/etc/shadow")
    os.chown(theirs / "privkey.pem", NOBODY, NOBODY, follow_symlinks=False)
    config = CONFIG.format(lineage=lineage.path, upstream=origin.url)
    genkan.write_config(config + f'\n[[site]]\nnames = ["b.test"]\ncertificates = ["{theirs}"]\n'
                        f'upstream = "{origin.url}"\n')
    assert genkan.reload().returncode == 0
    with stolen_socket(genkan) as keeper:
        answer, _, said, descriptors = keeper.ask(READ_FILE, f"{theirs}/privkey.pem")
    assert (answer, descriptors) == (ERROR, [])
    assert b"symbolic link" in said[0]


@pytest.mark.parametrize("raw", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 64,
                                 struct.pack("=IHH", 0xffffffff, 0, 0x6b67),
                                 struct.pack("=IHH", 14, 0, 0x6b67) + struct.pack("=HQI", 16, 0, 0xffffffff)])
def test_nonsense_ends_the_keeper_and_the_proxy_goes_on(ca, genkan, lineage, raw):
    pid = keeper_of(genkan)
    keeper = StolenSocket(genkan.pid)
    if raw:
        keeper.send_raw(raw)
    else:
        os.kill(pid, signal.SIGKILL)
    keeper.close()
    eventually(lambda: not is_alive(pid), what="the keeper's end")
    assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
    lineage.renew(ca.issue("a.test"))
    genkan.reload()
    eventually(lambda: "keeper_gone" in genkan.log(), what="the loss in the log")
    assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_keeper_ends_with_the_proxy(genkan, number):
    pid = keeper_of(genkan)
    # What a terminal or a service manager sends to the whole group is not for the keeper.
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, ignored)
    assert genkan.status()["state"] == "serving" and is_alive(pid)
    if number == signal.SIGKILL:
        genkan.kill()
        # The fixture stops what runs; this one is gone.
        genkan.start()
    else:
        genkan.restart()
    eventually(lambda: not is_alive(pid), what="the keeper's end")
    assert keeper_of(genkan) != pid


def test_many_threads_may_ask_at_once(genkan, ca, folder, origin, lineage):
    """Reloads, renewals and requests beside each other: one socket, answers to whom they belong."""
    more = [Lineage(folder, f"n{i}.test", ca.issue(f"n{i}.test")) for i in range(8)]
    sites = "".join(f'[[site]]\nnames = ["n{i}.test"]\ncertificates = ["{one.path}"]\nupstream = "{origin.url}"\n'
                    for i, one in enumerate(more))
    genkan.write_config(CONFIG.format(lineage=lineage.path, upstream=origin.url) + sites)
    results = []
    threads = [threading.Thread(target=lambda: results.append(genkan.reload().returncode)) for _ in range(4)]
    for thread in threads:
        thread.start()
    issued = [ca.issue(f"n{i}.test") for i in range(8)]
    for one, fresh in zip(more, issued):
        one.renew(fresh)
    for thread in threads:
        thread.join()
    assert results == [0] * 4
    for i, fresh in enumerate(issued):
        eventually(lambda i=i, fresh=fresh: served_serial(genkan.tls_port, f"n{i}.test") == fresh.serial, longest=60,
                   what=f"the renewed certificate of n{i}.test")
