#!/usr/bin/env python3
"""What many certificates cost: start, memory, and one of them changing.

    cmake --preset release && ninja -C build/release genkan
    tests/bench/many_certificates.py build/release/proxy/genkan [--count 5000] [--key ecdsa|rsa] [--rounds 3] [--json]

Each certificate is a lineage of its own as certbot lays it out (live/ with symlinks into archive/), issued by one of two
intermediates. Times are from the start of the process to its log line `ready`; memory is PSS of the process and its
children. Four figures come first: a start with known proofs, a cold one, memory, and one certificate changed. The last is
counted from the end of the debounce (250 ms after the last rename), and ends with the first whole handshake of a client
that asks again and again, so it has up to two of its handshakes in it; `one_logged_ms` ends with the log line instead.
Needs python3-cryptography.
"""

import argparse
import datetime
import json
import os
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEBOUNCE = 0.25
PEM = serialization.Encoding.PEM


def new_key(kind):
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer=None, issuer_key=None, host=None, days=90):
    """An authority without a host, a leaf with one; self-signed without an issuer."""
    now = datetime.datetime.utcnow()
    issuer_key = issuer_key or key
    builder = (x509.CertificateBuilder().subject_name(name(subject)).issuer_name(issuer.subject if issuer else name(subject))
               .public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(days=days))
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
               .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True))
    if host is not None:
        builder = (builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
                   .add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(
                       x509.oid.AuthorityInformationAccessOID.CA_ISSUERS,
                       x509.UniformResourceIdentifier("http://ca.invalid/issuer.der"))]), critical=False))
    return builder.sign(issuer_key, hashes.SHA256())


def key_pem(key):
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


class Authority:
    def __init__(self):
        root_key = new_key("ecdsa")
        self.root = certificate("Bench Root", root_key, days=3650)
        self.keys = [new_key("ecdsa"), new_key("ecdsa")]
        self.intermediates = [certificate(f"Bench Intermediate {n}", key, self.root, root_key, days=1000)
                              for n, key in enumerate(self.keys)]

    def issue(self, number, kind):
        host = host_of(number)
        key = new_key(kind)
        issuer, issuer_key = self.intermediates[number % 2], self.keys[number % 2]
        cert = certificate(host, key, issuer, issuer_key, host=host).public_bytes(PEM).decode()
        return {"cert": cert, "chain": issuer.public_bytes(PEM).decode(), "privkey": key_pem(key)}


def host_of(number):
    return f"host{number:05}.bench.test"


AUTHORITY = None  # of a pool's process


def issue_many(folder, numbers, kind):
    for number in numbers:
        write_lineage(Path(folder), number, AUTHORITY.issue(number, kind), 1)


def write_lineage(folder, number, texts, version):
    live, archive = folder / "live" / host_of(number), folder / "archive" / host_of(number)
    live.mkdir(parents=True, exist_ok=True)
    archive.mkdir(parents=True, exist_ok=True)
    texts = {**texts, "fullchain": texts["cert"] + texts["chain"]}
    for kind, text in texts.items():
        (archive / f"{kind}{version}.pem").write_text(text)
    for kind in texts:
        new = live / f"{kind}.new"
        new.symlink_to(f"../../archive/{host_of(number)}/{kind}{version}.pem")
        new.rename(live / f"{kind}.pem")


def make_lineages(folder, count, kind):
    global AUTHORITY
    AUTHORITY = Authority()
    (folder / "root.pem").write_bytes(AUTHORITY.root.public_bytes(PEM))
    step = max(1, count // 64)
    with ProcessPoolExecutor() as pool:  # forks: each has the authority
        jobs = [pool.submit(issue_many, folder, range(at, min(count, at + step)), kind) for at in range(0, count, step)]
        for job in jobs:
            job.result()


def write_config(folder, count):
    text = f"""workers = 2
state_dir = "{folder}/state"
{'user = "root"' if os.getuid() == 0 else ''}
[admin]
listen = ["unix:{folder}/admin.sock"]
[access_log]
output = "off"
[certificates]
trust_store = "{folder}/root.pem"
[[listener]]
address = "127.0.0.1:0"
tls = true
"""
    for number in range(count):
        text += f"""[[site]]
names = ["{host_of(number)}"]
certificates = ["{folder}/live/{host_of(number)}"]
upstream = "http://127.0.0.1:1"
"""
    (folder / "genkan.toml").write_text(text)


class Running:
    """One genkan; `seconds` from its start to `ready`."""

    def __init__(self, binary, folder):
        self.folder = folder
        self.binary = binary
        self.log = folder / "log"
        begin = time.monotonic()
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([binary, "run", "-c", str(folder / "genkan.toml")], stdout=log, stderr=log)
        while b" ready " not in self.log.read_bytes()[-4096:]:
            if self.process.poll() is not None or time.monotonic() - begin > 300:
                sys.exit(f"genkan did not start:\n{self.log.read_text()[-4000:]}")
            time.sleep(0.002)
        self.seconds = time.monotonic() - begin
        self.cpu_seconds = self.cpu()
        self.port = int(re.search(r"listeners=127\.0\.0\.1:(\d+)", self.log.read_text()).group(1))

    def cpu(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def pss_mib(self):
        return sum(self.pss_of(pid) for pid in self.tree(self.process.pid)) / 1024

    @staticmethod
    def pss_of(pid):
        return int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M).group(1))

    @classmethod
    def tree(cls, pid):
        """The process and all below it."""
        children = [child for thread in Path(f"/proc/{pid}/task").iterdir()
                    for child in (thread / "children").read_text().split()]
        return [pid] + [one for child in children for one in cls.tree(int(child))]

    def status(self):
        done = subprocess.run([self.binary, "status", "--socket", str(self.folder / "admin.sock"), "--json"],
                              capture_output=True, check=False)
        return json.loads(done.stdout)

    def wait_proved(self, longest=600.0):
        """Seconds until no certificate is `proving` any more."""
        begin = time.monotonic()
        while any(one.get("proof") == "proving" for one in self.status()["certificates"]):
            if time.monotonic() - begin > longest:
                sys.exit("the proofs do not come to an end")
            time.sleep(2 if len(self.log.read_bytes()) > 1 << 18 else 0.2)  # a long answer costs what is measured
        return time.monotonic() - begin

    def serial(self, number):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            with CONTEXT.wrap_socket(connection, server_hostname=host_of(number)) as tls:
                return tls.getpeercert(binary_form=True)

    def swapped_at(self, number):
        """When the log says that this one was swapped last, in seconds since the epoch."""
        lines = re.findall(rf"^(\S+) .*cert_swapped site={re.escape(host_of(number))} ", self.log.read_text(), re.M)
        return datetime.datetime.fromisoformat(lines[-1].replace("Z", "+00:00")).timestamp()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            sys.exit(f"genkan ended badly:\n{self.log.read_text()[-4000:]}")


CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
CONTEXT.check_hostname = False
CONTEXT.verify_mode = ssl.CERT_NONE


def measure_change(running, folder, number, version, kind):
    """Milliseconds beyond the debounce, from the last rename: to the first handshake with the new one, to its log line."""
    before = running.serial(number)
    write_lineage(folder, number, AUTHORITY.issue(number, kind), version)
    begin, renamed_at = time.monotonic(), time.time()
    while running.serial(number) == before:
        if time.monotonic() - begin > 20:
            sys.exit("the changed certificate is not taken")
    served = time.monotonic() - begin
    return (served - DEBOUNCE) * 1000, (running.swapped_at(number) - renamed_at - DEBOUNCE) * 1000


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binary")
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--key", choices=("ecdsa", "rsa"), default="ecdsa")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genkan-many-") as text:
        folder = Path(text)
        make_lineages(folder, options.count, options.key)
        write_config(folder, options.count)
        rows = {key: [] for key in ("cold_start_s", "cold_start_cpu_s", "proving_s", "known_start_s", "known_start_cpu_s",
                                    "pss_mib", "pss_all_used_mib", "one_changed_ms", "one_logged_ms",
                                    "read_again")}
        version = 1
        for _ in range(options.rounds):
            shutil.rmtree(folder / "state", ignore_errors=True)
            running = Running(options.binary, folder)
            rows["cold_start_s"].append(running.seconds)
            rows["cold_start_cpu_s"].append(running.cpu_seconds)
            rows["proving_s"].append(running.wait_proved())
            running.stop()
            running = Running(options.binary, folder)
            rows["known_start_s"].append(running.seconds)
            rows["known_start_cpu_s"].append(running.cpu_seconds)
            running.wait_proved()
            time.sleep(2)  # what is done in the background after the start
            rows["pss_mib"].append(running.pss_mib())
            reads = running.status().get("certificate_reads")
            for number in range(5):
                version += 1
                served, logged = measure_change(running, folder, number, version, options.key)
                rows["one_changed_ms"].append(served)
                rows["one_logged_ms"].append(logged)
            if reads is not None:
                rows["read_again"].append((running.status()["certificate_reads"] - reads) / 5)
            for number in range(options.count):
                running.serial(number)
            rows["pss_all_used_mib"].append(running.pss_mib())
            running.stop()
    result = {key: round(statistics.median(values), 3) for key, values in rows.items() if values}
    if options.json:
        print(json.dumps({"count": options.count, "key": options.key, "rounds": options.rounds, **result}))
        return
    print(f"{options.count} certificates ({options.key}), median of {options.rounds} rounds")
    print(f"  start with known proofs {result['known_start_s']:.2f} s, cold {result['cold_start_s']:.2f} s; "
          f"{result['pss_mib']:.0f} MiB; one changed: served {result['one_changed_ms']:.1f} ms after the debounce, "
          f"{result['read_again']:g} read again")
    for key, value in result.items():
        print(f"  {key:20} {value:10}")


if __name__ == "__main__":
    main()
