"""Speaks to a running genkan's keeper with the proxy's own socket, as a proxy that somebody took over would."""

import array
import ctypes
import os
import re
import select
import socket
import struct
from pathlib import Path

PIDFD_GETFD = 438  # the same on every Linux
MAGIC = 0x6b67
READ_FILE, LIST, STATE, LISTEN, SAVE_GOOD, RUN_HOOK = 16, 17, 19, 22, 27, 28
DONE, ERROR = 0, 1


def children(pid):
    """Processes whose parent this is."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if re.search(rf"^PPid:\s+{pid}$", text, flags=re.M):
            found.append(int(status.parent.name))
    return found


def uids(pid):
    """Real, effective, saved and file system user."""
    text = Path(f"/proc/{pid}/status").read_text()
    return {int(one) for one in re.search(r"^Uid:\s+(.*)$", text, flags=re.M).group(1).split()}


class StolenSocket:
    """A copy of the descriptor on which the proxy asks its keeper."""

    def __init__(self, pid):
        libc = ctypes.CDLL(None, use_errno=True)
        process = os.pidfd_open(pid)
        try:
            for number in sorted(int(name) for name in os.listdir(f"/proc/{pid}/fd")):
                # The first pair of sockets that it made, before anything else.
                if not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
                    continue
                copy = libc.syscall(PIDFD_GETFD, process, number, 0)
                assert copy >= 0, os.strerror(ctypes.get_errno())
                self._socket = socket.socket(fileno=copy)
                if self._socket.family == socket.AF_UNIX and self._socket.getpeername() == "":
                    return
                self._socket.close()
        finally:
            os.close(process)
        raise AssertionError("no socket to a keeper")

    def close(self):
        self._socket.close()

    def has_answer(self):
        """Whether something is here that nobody has read."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def send_raw(self, raw):
        self._socket.sendall(raw)

    def ask(self, op, *texts, number=0):
        """(op, number, texts, descriptors) of the answer."""
        body = struct.pack("=HQI", op, number, len(texts))
        for text in texts:
            raw = text if isinstance(text, bytes) else text.encode()
            body += struct.pack("=I", len(raw)) + raw
        self._socket.sendall(struct.pack("=IHH", len(body), 0, MAGIC) + body)
        descriptors = []
        length, count, magic = struct.unpack("=IHH", self._read(8, descriptors))
        assert magic == MAGIC
        raw = self._read(length, descriptors)
        assert len(descriptors) == count
        answer, number, texts_count = struct.unpack_from("=HQI", raw)
        at, got = 14, []
        for _ in range(texts_count):
            (size,) = struct.unpack_from("=I", raw, at)
            got.append(raw[at + 4:at + 4 + size])
            at += 4 + size
        return answer, number, got, descriptors

    def _read(self, size, descriptors):
        raw = b""
        while len(raw) < size:
            part, control, _, _ = self._socket.recvmsg(size - len(raw), socket.CMSG_SPACE(4 * 16))
            assert part, "the keeper is gone"
            raw += part
            for level, kind, data in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds = array.array("i")
                    fds.frombytes(data[:len(data) - len(data) % 4])
                    descriptors.extend(fds)
        return raw
