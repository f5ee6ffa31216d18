"""SIGUSR2: a new binary takes the sockets over and serves; the old one ends what is under way."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.ca import Lineage
from support.clients import curl, served_serial
from support.eventually import eventually, run
from support.genkan import Genkan, binary
from support.load import Load
from support.quick_origin import QuickOrigin
from support.routed_origin import RoutedOrigin
from support.sessions import Session
from support.successive import Successive, WebSocket, change_over, config, is_alive
from support.wire import Connection, tls_context

USERS = ["root", "nobody"] if os.getuid() == 0 else [None]


@pytest.fixture(name="folder")
def _folder():
    """pytest's own folders are closed to other users, and an unprivileged proxy has to get to its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(name="lineage")
def _lineage(ca, folder):
    lineage = Lineage(folder, "a.test", ca.issue("a.test"))
    lineage.path.parent.chmod(0o700)
    return lineage


@pytest.mark.parametrize("user", USERS)
def test_the_new_process_serves_on_the_same_sockets_and_the_old_one_ends_its_own(ca, folder, lineage, user):
    tls = tls_context(ca.root)
    with QuickOrigin() as origin, Successive(folder, config(lineage, origin.url, user)) as genkan:
        first, ports = genkan.pid, (genkan.plain_port, genkan.tls_port)
        with Connection(genkan.tls_port, tls) as idle, Connection(genkan.tls_port, tls) as busy:
            assert idle.get("/").status == 200
            busy.send("GET /drip/300 HTTP/1.1\r\nHost: a.test\r\n\r\n")
            assert busy.head().status == 200
            second = genkan.hand_over()
            assert second != first
            status = genkan.status()
            assert tuple(int(one["address"].rsplit(":", 1)[1]) for one in status["listeners"]) == ports
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == QuickOrigin.BODY
            # The download that was under way ends whole, by the old process.
            assert busy._exactly(300 * 1024) == b"d" * 300 * 1024
            # What rests is not closed on a client that nobody has told: its next answer says so.
            last = idle.get("/")
            assert (last.status, last.one("connection")) == (200, "close")
            assert idle.is_closed(within=60)
        eventually(lambda: not is_alive(first), longest=60, what="the old process's end")
        assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == QuickOrigin.BODY
        # And the new one can be followed, reloaded and renewed in its turn.
        third = genkan.hand_over()
        assert third not in (first, second)
        issued = ca.issue("a.test")
        lineage.renew(issued)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == issued.serial, longest=60,
                   what="the renewed certificate")
        assert genkan.reload().returncode == 0
        assert "handover_failed" not in genkan.log()


@pytest.mark.parametrize("version,user", [(2, USERS[0]), (3, USERS[-1])])
def test_tickets_outlive_reloads_swaps_and_hand_overs(ca, folder, lineage, version, user):
    with QuickOrigin() as origin, Successive(folder, config(lineage, origin.url, user)) as genkan:
        resumes = Session(genkan, ca, folder, version).resumes
        assert resumes()
        genkan.write_config(config(lineage, origin.url, user, more='drain_timeout = "9s"\n'))
        assert genkan.reload().returncode == 0
        assert resumes(), "after a reload"
        issued = ca.issue("a.test")
        lineage.renew(issued)
        eventually(lambda: served_serial(genkan.tls_port, "a.test") == issued.serial, longest=60, what="the swap")
        assert resumes(), "after a swap"
        first = genkan.pid
        genkan.hand_over()
        eventually(lambda: not is_alive(first), longest=60, what="the old process's end")
        assert resumes(), "in the new process"
        # A leaf that is forced out: the sessions of this one do not come back.
        resumes = Session(genkan, ca, folder, version).resumes
        assert resumes()
        # An older one, which is not taken before it is forced, however late that comes.
        lineage.renew(ca.issue("a.test", starts=-30, days=60))
        assert genkan.reload("--force").returncode == 0
        eventually(lambda: not resumes(), longest=60, what="a full handshake")
        # The next process knows that as well.
        last = genkan.pid if not genkan.followers else genkan.followers[-1]
        genkan.hand_over()
        eventually(lambda: not is_alive(last), longest=60, what="the second process's end")
        assert not any(resumes() for _ in range(3)), "barred in the new process too"


def test_a_binary_that_does_not_start_leaves_the_old_one_serving(ca, folder, lineage, origin):
    """An upgrade in place: what lies at the path that was started."""
    own = folder / "genkan-binary"
    shutil.copy2(binary(), own)
    before, os.environ["GENKAN_BINARY"] = os.environ["GENKAN_BINARY"], str(own)
    try:
        with Successive(folder, config(lineage, origin.url, USERS[-1])) as genkan:
            own.unlink()
            os.environ["GENKAN_BINARY"] = before
            genkan.send_signal(signal.SIGUSR2)
            eventually(lambda: "handover_failed" in genkan.log(), longest=60, what="the failure in the log")
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"

            own.write_text("#!/bin/sh\necho not today >&2\nexit 3\n")
            own.chmod(0o755)
            genkan.send_signal(signal.SIGUSR2)
            eventually(lambda: genkan.log().count("handover_failed") == 2, longest=60, what="the second failure")
            genkan.logs("not today")
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"

            own.unlink()
            shutil.copy2(before, own)
            good = genkan.config_path.read_text()
            genkan.config_path.write_text(good + "\nnonsense = 1\n")
            genkan.send_signal(signal.SIGUSR2)
            eventually(lambda: genkan.log().count("handover_failed") == 3, longest=60, what="the third failure")
            assert genkan.status()["pid"] == genkan.pid
            genkan.config_path.write_text(good)
            genkan.hand_over()
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
    finally:
        os.environ["GENKAN_BINARY"] = before


def test_process_1_refuses(ca, folder, lineage, origin):
    """As in a container: everything would end with it."""
    with Genkan(folder, config(lineage, origin.url, USERS[0])) as genkan:
        wrapped = [genkan_arg for genkan_arg in (binary(), "run", "-c", str(genkan.config_path))]
    with open(genkan.log_path, "ab") as log, \
            subprocess.Popen(["unshare", *([] if os.getuid() == 0 else ["-r"]), "--pid", "--fork", "--kill-child",
                              "--mount-proc", *wrapped], stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            seen = genkan.log().count(" ready ")
            eventually(lambda: genkan.log().count(" ready ") > seen or genkan._try_status(), longest=60,
                       what="genkan as process 1")
            status = eventually(genkan._try_status, longest=60, what="its status")
            assert status["pid"] == 1
            inner = int(run(["pgrep", "-P", str(process.pid)], check=True).stdout.split()[0])
            os.kill(inner, signal.SIGUSR2)
            eventually(lambda: "handover_refused" in genkan.log(), longest=60, what="the refusal")
            assert genkan._try_status()["state"] == "serving"
        finally:
            genkan.command("stop")
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def test_the_service_manager_is_told_who_is_main(ca, folder, lineage, origin):
    path = folder / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        os.chmod(path, 0o666)
        manager.settimeout(60)
        said = []

        def hears(text):
            while not any(text in one for one in said):
                said.append(manager.recv(4096).decode())
            return True
        with Successive(folder, config(lineage, origin.url, USERS[-1]), env={"NOTIFY_SOCKET": str(path)}) as genkan:
            assert hears("READY=1")
            pid = genkan.hand_over()
            assert hears(f"MAINPID={pid}\nREADY=1")
        assert hears("STOPPING=1")


@pytest.mark.parametrize("user", USERS[-1:])
def test_reloads_and_hand_overs_under_load_fail_no_request(ca, folder, lineage, user):
    change_over(ca, folder, lineage, user, reloads=6, hand_overs=2, pause=0.2)


@pytest.mark.parametrize("user", USERS)
def test_a_reload_changes_the_number_of_workers_under_load(ca, folder, lineage, user):
    def text(workers):
        return f"workers = {workers}\n" + config(lineage, origin.url, user) + \
            f'[[site.route]]\npath = "/ws"\nupstream = "{chatty.url}"\n'
    with QuickOrigin() as origin, RoutedOrigin() as chatty:
        with Genkan(folder, text(3)) as genkan:
            talk = WebSocket(genkan, tls_context(ca.root))
            with Load(genkan.tls_port, "a.test", ca.root, expect=QuickOrigin.BODY, keep=6, keep_rate=100, new=4,
                      new_rate=30) as load:
                for workers in (1, 4, 2):
                    genkan.write_config(text(workers))
                    done = genkan.reload()
                    assert done.returncode == 0, done.stderr
                    assert genkan.status()["workers"] == workers
                    assert talk.echoes(b"%d workers" % workers)
                    # What the new ones and those that stay accept is served.
                    for _ in range(12):
                        curl(genkan, "a.test", ca=ca.root, check=True)
                report = load.stop()
            talk.close()
            print(report.summary())
            assert report.failures == [], report.summary()
            # Kept connections were told to close, and nothing else holds those that are too many.
            eventually(lambda: genkan.status()["workers_leaving"] == 0, longest=60, what="the end of those too many")
            assert "taken at the next start" not in genkan.log()
            assert genkan.stop() == 0
