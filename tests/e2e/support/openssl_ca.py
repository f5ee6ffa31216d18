"""What every authority that the openssl CLI plays needs: its configuration, keys, and times as it writes them."""

import time
from pathlib import Path

from support.eventually import run

CONFIG = """
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unused
[ca]
default_ca = here
[here]
dir = {folder}
database = $dir/index.txt
new_certs_dir = $dir/issued
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
{own}
[any]
commonName = supplied
{sections}
"""


def openssl(*args):
    return run(["openssl", *args], check=True).stdout


def make_ca_folder(folder, own="", sections=""):
    """The folder of `openssl ca`; its configuration's path. own: further keys of the authority."""
    folder = Path(folder)
    (folder / "issued").mkdir(parents=True)
    (folder / "index.txt").touch()
    config = folder / "ca.cnf"
    config.write_text(CONFIG.format(folder=folder, own=own, sections=sections))
    return config


def make_key(path, kind="ec"):
    how = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "rsa" else ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("genpkey", "-algorithm", *how, "-out", path)


def lifetime(starts, days):
    """The flags for a certificate that is valid from so many days from now, for so many."""
    def utc(offset_days):
        return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(time.time() + offset_days * 86400))
    return ["-startdate", utc(starts), "-enddate", utc(starts + days)]
