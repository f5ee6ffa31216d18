"""curl and openssl s_client, pointed at a running Genkan by name."""

import re

from support.eventually import run


def curl(genkan, host, path="/", *args, tls=True, ca=None, longest=60.0, check=False):
    """curl for https://HOST:PORT/PATH (tls=False: http) resolved to loopback. ca: the root's file (None: -k)."""
    port = genkan.tls_port if tls else genkan.plain_port
    trust = [] if not tls else ["--cacert", ca] if ca else ["-k"]
    return run(["curl", "-sS", "--noproxy", "*", "--max-time", int(longest), "--resolve",
                f"{host}:{port}:127.0.0.1", *trust, *args, genkan.url(host, path, tls)],
               longest=longest + 5, check=check)


def curl_status(genkan, host, path="/", *args, tls=True, ca=None):
    """The status code alone; 0 where there was no answer."""
    done = curl(genkan, host, path, "-o", "/dev/null", "-w", "%{http_code}", *args, tls=tls, ca=ca)
    return int(done.stdout[-3:] or 0)


def s_client(port, name, *args, ca=None, address="127.0.0.1", longest=60.0):
    """One handshake of openssl s_client: its output, stdout and stderr together."""
    trust = ["-CAfile", ca] if ca else []
    done = run(["openssl", "s_client", "-connect", f"{address}:{port}", "-servername", name, *trust, *args],
               longest=longest, input="")
    return done.stdout + done.stderr


def served_serial(port, name):
    """The serial of the leaf that is served now, in upper-case hex; None where the handshake fails."""
    found = re.search(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", s_client(port, name), re.S)
    if not found:
        return None
    out = run(["openssl", "x509", "-noout", "-serial"], input=found.group(0), check=True).stdout
    return normal_serial(out.strip().split("=", 1)[1])


def normal_serial(text):
    """One spelling for what openssl, genkan and files say: upper-case hex without colons and leading zeros."""
    return text.replace(":", "").upper().lstrip("0") or "0"
