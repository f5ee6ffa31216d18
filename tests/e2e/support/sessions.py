"""TLS sessions kept and brought back, by openssl s_client."""

import re
import subprocess

VERSIONS = (2, 3)  # of TLS 1.x


def handshake(genkan, ca, version, name="a.test", save=None, resume=None):
    """One handshake and one request; whether the session was resumed. save: where the one that it was given goes."""
    files = [*(["-sess_out", save] if save else []), *(["-sess_in", resume] if resume else [])]
    done = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{genkan.tls_port}", "-servername", name,
                           "-CAfile", ca.root, f"-tls1_{version}", "-ign_eof", *map(str, files)],
                          input=f"GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
    text = done.stdout.decode(errors="replace")
    assert re.search(r"^HTTP/1.1 200", text, re.M), text
    return "\nReused, " in text


class Session:
    """One of this version, and whether it is taken still."""

    def __init__(self, genkan, ca, folder, version, name="a.test"):
        self.genkan, self.ca, self.version, self.name = genkan, ca, version, name
        self.path = folder / f"session.{version}.{name}"
        assert not handshake(genkan, ca, version, name, save=self.path)

    def resumes(self, name=None):
        return handshake(self.genkan, self.ca, self.version, name or self.name, resume=self.path)
