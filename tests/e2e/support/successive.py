"""A genkan whose process is followed by another (SIGUSR2), and what goes on meanwhile."""

import os
import signal
import time
from pathlib import Path

from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.load import Load
from support.quick_origin import QuickOrigin
from support.routed_origin import RoutedOrigin, frame, read_frame
from support.stolen import children
from support.wire import Connection, tls_context

SITE = """
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "{upstream}"
"""


def config(lineage, url, user=None, more=""):
    return (f'user = "{user}"\n' if user else "") + more + LISTENERS + SITE.format(lineage=lineage.path, upstream=url)


class Successive(Genkan):
    """A Genkan whose process may be followed by another; whichever answers is stopped at the end."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.followers = []

    def hand_over(self, longest=90.0):
        """Its successor's process id, once that one answers."""
        before = self.status()["pid"]
        os.kill(before, signal.SIGUSR2)

        def follower():
            status = self._try_status()
            return status and status["state"] == "serving" and status["pid"] != before and status["pid"]
        try:
            pid = eventually(follower, longest=longest, what="the new process")
        except BaseException:
            # One that never served is nobody's to stop but ours.
            self.followers += descendants(before)
            raise
        self.followers.append(pid)
        return pid

    def __exit__(self, kind, value, trace):
        if not self.followers:
            return super().__exit__(kind, value, trace)
        try:
            done = self.command("stop")
            if kind is not None:
                self.show_log()
            else:
                assert done.returncode == 0, done.stderr
                assert self.wait(90) == 0, "the first process"
                for pid in self.followers:
                    eventually(lambda pid=pid: not is_alive(pid), longest=90, what="the end of all processes")
        finally:
            for pid in self.followers:
                if is_alive(pid):
                    os.kill(pid, signal.SIGKILL)
            self.kill()


def descendants(pid):
    """Its children and theirs: a keeper starts the follower in the process's place."""
    own = children(pid)
    return own + [one for child in own for one in descendants(child)]


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class WebSocket:
    """One that says something now and then and hears the same."""

    def __init__(self, genkan, tls):
        self.connection = Connection(genkan.tls_port, tls)
        self.connection.send("GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                             "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        assert self.connection.head().status == 101

    def echoes(self, text):
        self.connection.send(frame(1, text, b"mask"))
        return read_frame(self.connection.stream) == (1, text)

    def close(self):
        self.connection.close()


def change_over(ca, folder, lineage, user, reloads, hand_overs, pause):
    """Reloads and hand-overs under load, with a WebSocket that lives through all reloads."""
    tls = tls_context(ca.root)
    more = '[[listener]]\naddress = "127.0.0.2:0"\n[[site]]\nnames = ["b{i}.test"]\nupstream = "{url}"\n'
    with QuickOrigin() as origin, RoutedOrigin() as chatty, \
            Successive(folder, config(lineage, origin.url, user)) as genkan:
        routed = SITE.format(lineage=lineage.path, upstream=origin.url) + \
            f'[[site.route]]\npath = "/ws"\nupstream = "{chatty.url}"\n'

        def write(i):
            genkan.write_config((f'user = "{user}"\n' if user else "") + f'drain_timeout = "{20 + i}s"\n' + LISTENERS +
                                routed + (more.format(i=i, url=origin.url) if i % 2 else ""))
        write(0)
        assert genkan.reload().returncode == 0
        talk = WebSocket(genkan, tls)
        with Load(genkan.tls_port, "a.test", ca.root, expect=QuickOrigin.BODY, keep=4, keep_rate=50, new=4,
                  new_rate=15) as load:
            moments = []
            for i in range(1, reloads + 1):
                moments.append(time.time())
                write(i)
                done = genkan.reload()
                assert done.returncode == 0, done.stderr
                assert talk.echoes(b"reload %d" % i)
                time.sleep(pause)
            for i in range(hand_overs):
                moments.append(time.time())
                genkan.hand_over()
                if i == 0:
                    assert talk.echoes(b"in the old process")
                time.sleep(pause)
            moments.append(time.time())
            report = load.stop()
        talk.close()
        print(report.summary())
        # A kept connection is told to close with an answer; one that rests is left to rest as long as it may anyway.
        assert report.failures == [], report.summary()
        assert all(report.under_way(*step) > 0 for step in zip(moments, moments[1:])), "requests over each change"
