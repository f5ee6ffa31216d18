"""Sockets that a service manager opened (LISTEN_FDS) are served, kept over reloads, and handed over."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import Genkan, binary
from support.successive import SITE, is_alive

# What systemd does between fork and exec: the sockets from descriptor 3 on, and for whom they are.
ACTIVATE = """
import os, sys
count = int(sys.argv[1])
for i in range(count):
    os.dup2(int(sys.argv[2 + i]), 3 + i)
os.environ["LISTEN_FDS"], os.environ["LISTEN_PID"] = str(count), str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class Activated(Genkan):
    """One whose listening sockets are the test's."""

    def __init__(self, folder, config, sockets):
        super().__init__(folder, config)
        self._sockets = sockets

    def start(self):
        numbers = [one.fileno() for one in self._sockets]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", ACTIVATE, str(len(numbers)), *map(str, numbers), binary(), "run", "-c",
                 str(self.config_path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=numbers)
        status = eventually(lambda: (self._try_status() or {}).get("state") == "serving" and self._try_status(),
                            longest=60, what="genkan serves")
        self._listeners = status["listeners"]


@pytest.mark.parametrize("user", ["root", "nobody"] if os.getuid() == 0 else [None])
def test_sockets_of_the_service_manager_are_served_and_outlive_the_process(ca, origin, user):
    with tempfile.TemporaryDirectory() as name, socket.socket() as plain, socket.socket() as tls, \
            socket.socket() as other:
        os.chmod(name, 0o755)
        folder = Path(name)
        lineage = Lineage(folder, "a.test", ca.issue("a.test"))
        for one in (other, plain, tls):
            one.bind(("127.0.0.1", 0))
            one.listen(64)
        ports = (plain.getsockname()[1], tls.getsockname()[1])
        site = SITE.format(lineage=lineage.path, upstream=origin.url)
        text = (f'user = "{user}"\n' if user else "") + \
            f'[[listener]]\naddress = "127.0.0.1:{ports[0]}"\n' \
            f'[[listener]]\naddress = "127.0.0.1:{ports[1]}"\ntls = true\n' + site
        # Out of the way of the numbers that genkan is given.
        high = [socket.socket(fileno=fcntl.fcntl(one.fileno(), fcntl.F_DUPFD_CLOEXEC, 30)) for one in (other, plain, tls)]
        try:
            with Activated(folder, text, high) as genkan:
                assert (genkan.plain_port, genkan.tls_port) == ports
                assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
                eventually(lambda: "activation_socket_unused" in genkan.log(), what="the warning of the third socket")
                genkan.write_config(text + '\n[[site]]\nnames = ["b.test"]\n' f'upstream = "{origin.url}"\n')
                assert genkan.reload().returncode == 0
                assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
                first = genkan.pid
                genkan.send_signal(signal.SIGTERM)
                eventually(lambda: not is_alive(first), longest=60, what="its end")
                genkan.kill()
                # The sockets are the manager's: who comes in between waits in the queue.
                with socket.create_connection(("127.0.0.1", ports[0]), 60) as early:
                    early.sendall(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
                    genkan.start()
                    early.settimeout(60)
                    assert early.recv(12).startswith(b"HTTP/1.1 30")
        finally:
            for one in high:
                one.close()
