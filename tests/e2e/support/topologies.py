"""Hierarchies as the stories have them: roots, cross-signs and intermediates with any dates and under any names.

    t = Topology(tmp_path)
    x1 = t.root("ISRG Root X1"); r3 = t.authority("R3", x1); leaf = t.leaf("a.test", r3)
    t.cross("ISRG Root X1", dst)        # the same name and key under another issuer
"""

import os
from dataclasses import dataclass
from pathlib import Path

from support.openssl_ca import lifetime, make_ca_folder, make_key, openssl

AUTHORITY = """basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
"""
LEAF = """basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = {names}
"""


@dataclass
class Made:
    name: str
    pem: str
    key: str
    cert_path: Path
    key_path: Path


class Topology:
    def __init__(self, folder):
        self.folder = Path(folder) / "topology"
        self.config = make_ca_folder(self.folder)
        self._count = 0

    def _key(self, label, kind):
        path = self.folder / f"{label.replace(' ', '_').replace('*', 'any')}.{kind}.key"
        if not path.exists():
            make_key(path, kind)
        return path

    def _make(self, name, issuer, starts, days, extensions, label, kind="ec"):
        self._count += 1
        base = self.folder / f"made{self._count}"
        key = self._key(label, kind)
        base.with_suffix(".ext").write_text(extensions)
        openssl("req", "-new", "-key", key, "-config", self.config, "-subj", f"/CN={name}",
                "-out", base.with_suffix(".csr"))
        signer = ["-selfsign", "-keyfile", key] if issuer is None else \
                 ["-cert", issuer.cert_path, "-keyfile", issuer.key_path]
        openssl("ca", "-config", self.config, "-batch", "-notext", "-in", base.with_suffix(".csr"),
                "-out", base.with_suffix(".pem"), "-extfile", base.with_suffix(".ext"), *lifetime(starts, days), *signer)
        return Made(name, base.with_suffix(".pem").read_text(), key.read_text(), base.with_suffix(".pem"), key)

    def root(self, name, starts=-1000.0, days=3000.0):
        return self._make(name, None, starts, days, AUTHORITY, name)

    def authority(self, name, issuer, starts=-900.0, days=2000.0):
        """An intermediate; under a second issuer, a cross-sign: the key goes with the name."""
        return self._make(name, issuer, starts, days, AUTHORITY, name)

    cross = authority

    def leaf(self, name, issuer, starts=-1.0, days=90.0, kind="ec", more=""):
        return self._make(name, issuer, starts, days, LEAF.format(names=f"DNS:{name}") + more,
                          f"leaf {name} {os.urandom(4).hex()}", kind)

    def store(self, *roots):
        """A trust store with these roots."""
        self._count += 1
        path = self.folder / f"store{self._count}.pem"
        path.write_text("".join(root.pem for root in roots))
        return path
