"""OCSP answers that no `openssl ocsp` gives: with dates of one's own, or with a signature that is not one.

The times of an answer have one length, so they are put in their places; then the whole is signed anew.
"""

import re
import time

from support.eventually import run

SEQUENCE, OCTETS, BITS, CONTEXT_0 = 0x30, 0x04, 0x03, 0xA0


def element(tag, content):
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    digits = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(digits)]) + digits + content


def elements(der):
    """The elements side by side: a list of (tag, content, the element whole)."""
    found, at = [], 0
    while at < len(der):
        size, begin = der[at + 1], at + 2
        if size & 0x80:
            count = size & 0x7F
            size, begin = int.from_bytes(der[begin:begin + count], "big"), begin + count
        found.append((der[at], der[begin:begin + size], der[at:begin + size]))
        at = begin + size
    return found


def inside(der):
    return elements(elements(der)[0][1])


def _basic(response):
    """The parts of a BasicOCSPResponse (RFC 6960 4.2.1), and how a response is made of them again."""
    status, wrapped = inside(response)
    kind, octets = inside(elements(wrapped[1])[0][2])
    parts = [part[2] for part in inside(octets[1])]

    def wrap(parts):
        basic = element(SEQUENCE, b"".join(parts))
        inner = element(SEQUENCE, kind[2] + element(OCTETS, basic))
        return element(SEQUENCE, status[2] + element(CONTEXT_0, inner))
    assert wrap(parts) == response
    return parts, wrap


def with_broken_signature(response):
    parts, wrap = _basic(response)
    signature = bytearray(parts[2])
    signature[-1] ^= 1
    return wrap([parts[0], parts[1], bytes(signature), *parts[3:]])


def with_times(response, key, folder, this_update, next_update):
    """A good answer from then to then (seconds from now), signed with `key` (ECDSA and SHA-256, as it was)."""
    parts, wrap = _basic(response)
    times = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset)).encode()
             for offset in (this_update, this_update, next_update)]
    tbs, count = re.subn(rb"\x18\x0f\d{14}Z", lambda _: b"\x18\x0f" + times.pop(0), parts[0])
    assert count == 3, "producedAt, thisUpdate, nextUpdate"
    path, told = folder / "answer.tbs", folder / "answer.signature"
    path.write_bytes(tbs)
    run(["openssl", "dgst", "-sha256", "-sign", key, "-out", told, path], check=True)
    return wrap([tbs, parts[1], element(BITS, b"\0" + told.read_bytes()), *parts[3:]])
