"""Renewals one after the other while clients of every kind are served: what each of them saw.

    told = swap_under_load(ca, tmp_path, swaps=20, every=0.5, download_mib=64)
    told["failures"] == [] and told["slowest"] < 1.0
"""

import hashlib
import re
import socket
import subprocess
import threading
import time

from support.ca import Lineage
from support.eventually import eventually
from support.genkan import LISTENERS, Genkan
from support.load import Load
from support.quick_origin import QuickOrigin

BLOCK = bytes(range(256)) * 4096  # 1 MiB


class BigOrigin:
    """`with BigOrigin(mib) as origin:` one answer of that size for every request, and what its SHA-256 is.

    Its last MiB is said when the test has set `is_over`.
    """

    def __init__(self, mib):
        self.mib = mib
        digest = hashlib.sha256()
        for _ in range(mib):
            digest.update(BLOCK)
        self.sha256 = digest.hexdigest()
        self.is_over = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self):
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *exc):
        self._server.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = connection.recv(4096)
                    if not more:
                        return
                    head += more
                connection.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                                   % (self.mib * len(BLOCK)))
                for _ in range(self.mib - 1):
                    connection.sendall(BLOCK)
                if self.is_over.wait(600):
                    connection.sendall(BLOCK)
            except OSError:
                pass


def _config(ca, lineage, quick, big):
    return LISTENERS + f"""
[limits]
connections_per_address = 0
handshakes_per_address = 0
[certificates]
trust_store = "{ca.root}"
[[site]]
names = ["a.test"]
certificates = ["{lineage.path}"]
upstream = "{quick.url}"
  [[site.route]]
  path = "/big"
  upstream = "{big.url}"
"""


def _start_download(genkan, ca, version, seconds, mib):
    """The bytes go through sha256sum; as slow as the swaps take."""
    limit = max(1, int(mib / seconds * 1024))
    return subprocess.Popen(
        ["sh", "-c", 'curl -sS --fail "$@" | sha256sum', "sh", version, "--cacert", str(ca.root), "--limit-rate", f"{limit}k",
         "--resolve", f"a.test:{genkan.tls_port}:127.0.0.1", "--max-time", "600", genkan.url("a.test", "/big")],
        stdout=subprocess.PIPE, text=True)


def _start_h2load(genkan, seconds):
    return subprocess.Popen(
        ["h2load", "-c", "4", "-m", "4", "--rps", "50", "-D", str(int(seconds)),
         "--connect-to", f"127.0.0.1:{genkan.tls_port}", f"https://a.test:{genkan.tls_port}/"],
        stdout=subprocess.PIPE, text=True)


def accepted(genkan):
    return genkan.status()["traffic"]["connections"]["accepted"]


def swap_under_load(ca, folder, swaps, every, download_mib, keep_rate=60):
    first = ca.issue("a.test")
    renewed = [ca.issue("a.test") for _ in range(swaps)]
    lineage = Lineage(folder, "a.test", first)
    seconds = swaps * every
    with QuickOrigin() as quick, BigOrigin(download_mib) as big, \
            Genkan(folder, _config(ca, lineage, quick, big)) as genkan, \
            Load(genkan.tls_port, "a.test", ca.root, expect=QuickOrigin.BODY, keep=16, keep_rate=keep_rate,
                 new=4, new_rate=20) as load:
        downloads = [_start_download(genkan, ca, version, seconds + 5, download_mib) for version in ("--http1.1", "--http2")]
        streams = _start_h2load(genkan, seconds + 2)
        renamed = []
        begin = time.time()
        for number, issued in enumerate(renewed):
            time.sleep(max(0.0, begin + number * every - time.time()))
            lineage.renew(issued)
            renamed.append(time.time())
        # It is in service, and a number of connections are newer than that.
        eventually(lambda: genkan.swapped_at(renewed[-1].serial), what="the last swap")
        before = accepted(genkan)
        eventually(lambda: accepted(genkan) >= before + 40, what="new connections after the last swap", every=0.2)
        are_downloading = [one.poll() is None for one in downloads]
        big.is_over.set()
        hashes = [one.communicate(timeout=600)[0].split()[0] for one in downloads]
        h2 = streams.communicate(timeout=120)[0]
        report = load.stop()
        status = genkan.certificate()
        memory = genkan.memory_bytes()
    waits = []
    for issued, at in zip(renewed, renamed):
        seen = report.first_seen(issued.serial)
        waits.append(None if seen is None else seen - at)
    counts = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", h2)
    return {
        "summary": report.summary(), "failures": report.failures, "requests": len(report.requests) + int(counts.group(2)),
        "h2": counts.group(0), "h2_failed": sum(int(counts.group(n)) for n in (3, 4, 5)),
        "unseen": [n for n, wait in enumerate(waits) if wait is None],
        "slowest": max((wait for wait in waits if wait is not None), default=None),
        "median": sorted(wait for wait in waits if wait is not None)[len(waits) // 2] if None not in waits else None,
        "were_downloading": are_downloading, "hashes_right": [one == big.sha256 for one in hashes],
        "swaps": status["swaps"], "memory": memory,
    }
