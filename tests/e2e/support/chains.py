"""Sites over a Hierarchy, and what is on the wire for them."""

import re

from support.clients import s_client
from support.eventually import run
from support.genkan import TLS
from support.hierarchy import Hierarchy



def pem_file(folder, name, *certificates):
    path = folder / name
    path.write_text("".join(one.pem for one in certificates))
    return path


def write_lineage(folder, leaf, *chain, key=None):
    """cert.pem with the leaf alone, privkey.pem, and chain.pem where there is a chain."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cert.pem").write_text(leaf.pem)
    (folder / "privkey.pem").write_text(key or leaf.key)
    if chain:
        pem_file(folder, "chain.pem", *chain)
    return folder


def site(name, certificate, origin):
    written = certificate if str(certificate).startswith("{") else f'"{certificate}"'
    return f'[[site]]\nnames = ["{name}"]\ncertificates = [{written}]\nupstream = "{origin.url}"\n'


def config(trust_store, *sites, extra=""):
    return TLS + f'[certificates]\ntrust_store = "{trust_store}"\n{extra}' + "".join(sites)


def sent_names(genkan, name, *args):
    """The common names on the wire, leaf first."""
    text = s_client(genkan.tls_port, name, "-showcerts", *args)
    return re.findall(r"^ *\d+ s:(?:.*, ?)?CN ?= ?(.+)$", text, re.M)


def verifies(genkan, name, roots, *args):
    return "Verify return code: 0 (ok)" in s_client(genkan.tls_port, name, "-verify_return_error", *args, ca=roots)


def expired_root(tmp_path):
    """September 2021: X1 in the stores, and in the files X1 signed by a root that has expired."""
    h = Hierarchy(tmp_path, kind="rsa")
    h.dst = h.root("DST Root CA X3", starts=-900, days=899)
    h.x1 = h.root("ISRG Root X1")
    cross = h.sub("ISRG Root X1", h.dst)
    r3 = h.sub("R3", h.x1)
    h.lineage = write_lineage(tmp_path / "a", h.leaf(r3, "a.test", "127.0.0.1"), r3, cross)
    h.both = pem_file(tmp_path, "both.pem", h.x1, h.dst)
    h.only_x1 = pem_file(tmp_path, "x1.pem", h.x1)
    h.only_dst = pem_file(tmp_path, "dst.pem", h.dst)
    # The four kinds of client over these two roots.
    trust = tmp_path / "trust"
    trust.mkdir()

    def without(one):
        done = run(["openssl", "x509", "-in", one.path, "-noout", "-fingerprint", "-sha256"], check=True)
        return "without = " + done.stdout.strip().split("=")[1].replace(":", "") + "\n"

    (trust / "modern.profile").write_text("required = true\n" + without(h.dst))
    (trust / "openssl_1_0.profile").write_text("path = as_sent\n")
    (trust / "gnutls_2020.profile").write_text("path = as_sent\n")
    (trust / "old_android.profile").write_text("root_dates = ignored\n" + without(h.x1))
    h.extra = f'trust_profiles = "{trust}"\n'
    return h
