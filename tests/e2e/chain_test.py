"""A complete chain, whatever files it is given: as real clients see it that fetch nothing themselves."""

import json
import random
import re
import socket
import struct
import sys

from support.chains import config, pem_file, sent_names, site, verifies, write_lineage
from support.clients import s_client
from support.eventually import eventually, run
from support.genkan import Genkan, genkan_command
from support.hierarchy import CertificateServer, Hierarchy

def test_a_missing_intermediate_comes_from_a_sibling_the_pool_or_its_address(origin, tmp_path):
    h = Hierarchy(tmp_path)
    with CertificateServer() as server:
        root = h.root("Root")
        middle = h.sub("Middle", root)
        server.files["/middle.crt"] = middle.der
        named = h.leaf(middle, "c.test", ca_issuers_url=f"{server.url}/middle.crt")
        roots = pem_file(tmp_path, "root.pem", root)
        write_lineage(tmp_path / "a", h.leaf(middle, "a.test"), middle)
        (tmp_path / "b").mkdir()
        lonely = h.leaf(middle, "b.test")
        (tmp_path / "b" / "one.pem").write_text(lonely.pem + lonely.key)
        write_lineage(tmp_path / "c", named)
        pool = tmp_path / "pool"
        pool.mkdir()
        sites = [site("a.test", tmp_path / "a", origin), site("b.test", tmp_path / "b/one.pem", origin),
                 site("c.test", tmp_path / "c", origin)]
        with Genkan(tmp_path, config(roots, *sites)) as genkan:
            assert verifies(genkan, "a.test", roots), "from chain.pem beside it"
            assert not verifies(genkan, "b.test", roots), "nobody has it"
            assert "CHAIN_MISSING_INTERMEDIATE" in genkan.certificate(site="b.test")["finding_codes"]
            eventually(lambda: verifies(genkan, "c.test", roots), longest=60, what="fetched from its address")

            def incomplete():
                """What `genkan check` says, which asks nobody."""
                done = genkan_command("check", "--json", "-c", str(genkan.config_path))
                return {one["site"] for one in json.loads(done.stdout)["findings"]
                        if one["code"] == "CHAIN_MISSING_INTERMEDIATE"}
            assert incomplete() == {"b.test"}, "it comes to what the running one does"
            fetched = (genkan.state_dir / "aia").rename(tmp_path / "aside")
            assert incomplete() == {"b.test", "c.test"}
            fetched.rename(genkan.state_dir / "aia")
            assert server.asked == ["/middle.crt"]
            genkan.write_config(config(roots, *sites, extra=f'pool = ["{pool}"]\n'))
            pem_file(pool, "middle.pem", middle)
            assert genkan.reload().returncode == 0
            eventually(lambda: verifies(genkan, "b.test", roots), longest=60, what="taken from the pool")
            for name in ("a.test", "b.test", "c.test"):
                eventually(lambda name=name: genkan.certificate(site=name)["findings"] == [], what=f"no finding for {name}")
            genkan.restart()
            assert verifies(genkan, "c.test", roots), "kept on the disk"
            assert server.asked == ["/middle.crt"]


def test_root_ye_is_complete_for_a_store_with_x1_and_for_one_with_x2(origin, tmp_path):
    """Four certificates on the wire: what looks like a root by its name is a cross-sign."""
    h = Hierarchy(tmp_path)
    x1, x2 = h.root("ISRG Root X1"), h.root("ISRG Root X2")
    x2_by_x1 = h.sub("ISRG Root X2", x1)
    ye = h.sub("Root YE", x2)
    ye1 = h.sub("YE1", ye)
    leaf = h.leaf(ye1, "a.test")
    write_lineage(tmp_path / "a", leaf, x2_by_x1, ye1, ye)
    only_x1, only_x2 = pem_file(tmp_path, "x1.pem", x1), pem_file(tmp_path, "x2.pem", x2)
    with Genkan(tmp_path, config(only_x1, site("a.test", tmp_path / "a", origin))) as genkan:
        assert sent_names(genkan, "a.test") == ["a.test", "YE1", "Root YE", "ISRG Root X2"]
        assert verifies(genkan, "a.test", only_x1)
        assert verifies(genkan, "a.test", only_x2)
        told = genkan.certificate(site="a.test")
        assert told["chain_complete"] and told["findings"] == []


def untidy(kind, certificates, key):
    """The same certificates and key as an operator may hand them over."""
    blocks = [one.pem for one in certificates] + [key]
    if kind == "crlf":
        return "".join(blocks).replace("\n", "\r\n").encode()
    if kind == "bom":
        return b"\xef\xbb\xbf" + "".join(blocks).encode()
    if kind == "blank lines":
        return "\n\n  \n".join(block.replace("\n", "\n\n", 2) for block in blocks).encode()
    if kind == "text between":
        return "".join(f"Bag Attributes\n  subject=/CN=x\n{block}issuer: y\n" for block in blocks).encode()
    if kind == "glued":
        return "".join(block.rstrip("\n") for block in blocks).encode()
    return "".join(blocks).encode()


def test_any_order_and_any_form_gives_the_same_chain(origin, tmp_path):
    h = Hierarchy(tmp_path)
    root = h.root("Root")
    upper = h.sub("Upper", root)
    lower = h.sub("Lower", upper)
    stranger = h.sub("Stranger", h.root("Elsewhere"))
    leaf = h.leaf(lower, "*.test")
    roots = pem_file(tmp_path, "root.pem", root)
    order = random.Random(20211001)
    sites, names = [], []

    def add(certificate, *words):
        names.append(f"n{len(names)}.test")
        sites.append(site(names[-1], certificate, origin))

    for kind in ("plain", "crlf", "bom", "blank lines", "text between", "glued") * 2:
        certificates = [leaf, lower, upper, root, lower, stranger, leaf]
        order.shuffle(certificates)
        path = tmp_path / f"mixed{len(names)}.pem"
        path.write_bytes(untidy(kind, certificates, leaf.key))
        add(path)
    # One file each, DER.
    folder = tmp_path / "der"
    folder.mkdir()
    for number, one in enumerate([root, upper, leaf, stranger, lower]):
        (folder / f"{number}.der").write_bytes(one.der)
    run(["openssl", "pkey", "-in", leaf.key_path, "-outform", "DER", "-out", folder / "a.key"], check=True)
    add(folder)
    # PKCS#7 beside the key, and PKCS#12 with its password in a variable and in a file.
    folder = tmp_path / "p7"
    folder.mkdir()
    bag = pem_file(tmp_path, "bag.pem", upper, leaf, root, lower)
    run(["openssl", "crl2pkcs7", "-nocrl", "-certfile", bag, "-outform", "DER", "-out", folder / "a.p7b"], check=True)
    (folder / "a.key").write_text(leaf.key)
    add(folder)
    run(["openssl", "pkcs12", "-export", "-in", leaf.path, "-inkey", leaf.key_path, "-certfile", bag,
         "-passout", "pass:s3 cret", "-out", tmp_path / "a.p12"], check=True)
    (tmp_path / "password").write_text("s3 cret\n")
    add(f'{{ certificate = "{tmp_path}/a.p12", password_env = "SHOP_PASSWORD" }}')
    add(f'{{ certificate = "{tmp_path}/a.p12", password_file = "{tmp_path}/password" }}')
    with Genkan(tmp_path, config(roots, *sites), env={"SHOP_PASSWORD": "s3 cret"}) as genkan:
        chains = {one["site"]: one["chain"] for one in genkan.status()["certificates"]}
        assert chains == {name: ["CN=*.test", "CN=Lower", "CN=Upper"] for name in names}, chains
        for name in (names[0], names[-1]):
            assert sent_names(genkan, name) == ["*.test", "Lower", "Upper"]
            assert verifies(genkan, name, roots)


def accepted_by(genkan):
    return {one["profile"] for one in genkan.certificate(site="a.test")["clients"] if one["accepted"]}


def test_the_expired_root_is_not_sent_and_real_clients_connect(dst, origin, tmp_path):
    named = site("a.test", dst.lineage, origin).replace('["a.test"]', '["a.test", "127.0.0.1"]')
    with Genkan(tmp_path, config(dst.both, named, extra=dst.extra)) as genkan:
        assert sent_names(genkan, "a.test") == ["a.test", "R3"]
        assert accepted_by(genkan) == {"modern", "openssl_1_0", "gnutls_2020"}
        url = f"https://127.0.0.1:{genkan.tls_port}/"
        assert verifies(genkan, "a.test", dst.both)
        done = run(["gnutls-cli", "--x509cafile", dst.both, "--sni-hostname", "a.test", "--verify-hostname", "a.test",
                    "-p", genkan.tls_port, "127.0.0.1"], input="")
        assert "- Status: The certificate is trusted." in done.stdout, done.stdout + done.stderr
        for argv in (["wget", "-q", "--no-proxy", "-O", "-", f"--ca-certificate={dst.both}", url],
                     ["curl", "-sS", "--noproxy", "*", "--cacert", dst.both, url],
                     ["php", "-r", "echo file_get_contents($argv[1], false, stream_context_create(["
                      "'ssl' => ['cafile' => $argv[2]]]));", url, dst.both],
                     [sys.executable, "-c", "import ssl, sys, urllib.request as u;"
                      "u.install_opener(u.build_opener(u.ProxyHandler({}), u.HTTPSHandler(context="
                      "ssl.create_default_context(cafile=sys.argv[2]))));"
                      "print(u.urlopen(sys.argv[1]).read().decode())", url, dst.both]):
            done = run(argv)
            assert "hello /" in done.stdout, (argv[0], done.stdout, done.stderr)


def test_nss_connects_in_the_case_of_the_expired_root(dst, origin, tmp_path):
    store = tmp_path / "nss"
    store.mkdir()
    run(["certutil", "-N", "--empty-password", "-d", f"sql:{store}"], check=True)
    for name, one in (("x1", dst.x1), ("dst", dst.dst)):
        run(["certutil", "-A", "-d", f"sql:{store}", "-n", name, "-t", "C,,", "-i", one.path], check=True)
    with Genkan(tmp_path, config(dst.both, site("a.test", dst.lineage, origin), extra=dst.extra)) as genkan:
        done = run(["tstclnt", "-d", f"sql:{store}", "-h", "127.0.0.1", "-p", genkan.tls_port, "-a", "a.test", "-Q"])
        assert done.returncode == 0, done.stdout + done.stderr


def test_long_is_for_old_android(dst, origin, tmp_path):
    certificate = f'{{ certificate = "{dst.lineage}", chain = "long" }}'
    with Genkan(tmp_path, config(dst.both, site("a.test", certificate, origin), extra=dst.extra)) as genkan:
        assert sent_names(genkan, "a.test") == ["a.test", "R3", "ISRG Root X1"]
        assert accepted_by(genkan) == {"modern", "old_android"}
        assert genkan.certificate(site="a.test")["findings"] == []
        # OpenSSL 3 as old Android: the expired root is all it has, and its end is not looked at.
        assert verifies(genkan, "a.test", dst.only_dst, "-no_check_time")
        assert not verifies(genkan, "a.test", dst.only_dst)


def hello(extensions, suites):
    """A TLS 1.2 ClientHello record for a.test."""
    name = b"a.test"
    extensions = [(0, struct.pack("!HBH", len(name) + 3, 0, len(name)) + name),
                  (10, struct.pack("!HHH", 4, 29, 23)), (11, b"\x01\x00"),
                  (13, struct.pack("!HHHH", 6, 0x0401, 0x0403, 0x0501)), *extensions]
    packed = b"".join(struct.pack("!HH", kind, len(body)) + body for kind, body in extensions)
    packed_suites = b"".join(struct.pack("!H", suite) for suite in suites)
    body = (b"\x03\x03" + bytes(range(32)) + b"\x00" + struct.pack("!H", len(packed_suites)) + packed_suites +
            b"\x01\x00" + struct.pack("!H", len(packed)) + packed)
    message = b"\x01" + struct.pack("!I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


def certificates_for(port, record):
    """How many certificates the server answers this ClientHello with (TLS 1.2 shows them in clear)."""
    messages, data = b"", b""
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.settimeout(20)
        connection.sendall(record)
        while True:
            while len(data) >= 5 and len(data) >= 5 + struct.unpack("!H", data[3:5])[0]:
                length = struct.unpack("!H", data[3:5])[0]
                assert data[0] == 22, f"an alert: {data[:7].hex()}"
                messages, data = messages + data[5:5 + length], data[5 + length:]
            at = 0
            while len(messages) >= at + 4:
                kind, size = messages[at], int.from_bytes(messages[at + 1:at + 4], "big")
                if len(messages) < at + 4 + size:
                    break
                if kind == 11:
                    count, inside = 0, messages[at + 7:at + 4 + size]
                    while inside:
                        inside = inside[3 + int.from_bytes(inside[:3], "big"):]
                        count += 1
                    return count
                at += 4 + size
            got = connection.recv(65536)
            assert got, "closed before its certificates"
            data += got


def test_by_client_chooses_from_the_hello(dst, origin, tmp_path):
    certificate = f'{{ certificate = "{dst.lineage}", chain = "by_client" }}'
    aes, chacha = 0xC02F, 0xCCA8
    with Genkan(tmp_path, config(dst.both, site("a.test", certificate, origin), extra=dst.extra)) as genkan:
        assert accepted_by(genkan) == {"modern", "openssl_1_0", "gnutls_2020", "old_android"}
        told = genkan.certificate(site="a.test")
        assert told["long_chain"] == ["CN=a.test", "CN=R3", "CN=ISRG Root X1"]
        assert sent_names(genkan, "a.test") == ["a.test", "R3"]
        # The authorities that a client of TLS 1.3 names decide.
        assert len(sent_names(genkan, "a.test", "-requestCAfile", dst.only_dst)) == 3
        assert len(sent_names(genkan, "a.test", "-requestCAfile", dst.only_x1)) == 2
        assert len(sent_names(genkan, "a.test", "-requestCAfile", dst.both)) == 2
        port = genkan.tls_port
        assert certificates_for(port, hello([], [chacha, aes])) == 3, "Android 5 to 7.0"
        assert certificates_for(port, hello([], [aes])) == 2, "no ChaCha20"
        assert certificates_for(port, hello([(15, b"\x01")], [aes])) == 2, "OpenSSL 1.0.x"
        assert certificates_for(port, hello([(22, b"")], [chacha, aes])) == 2, "OpenSSL 1.1.0, GnuTLS"


def test_a_broken_certificate_holds_no_other_site(origin, tmp_path):
    """An RSA key with an EC certificate is caught at load; the site refuses TLS, its neighbour does not."""
    h = Hierarchy(tmp_path)
    root = h.root("Root")
    middle = h.sub("Middle", root)
    roots = pem_file(tmp_path, "root.pem", root)
    rsa = run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], check=True).stdout
    write_lineage(tmp_path / "good", h.leaf(middle, "good.test"), middle)
    write_lineage(tmp_path / "bad", h.leaf(middle, "bad.test"), middle, key=rsa)
    write_lineage(tmp_path / "old", h.leaf(middle, "old.test", starts=-20, days=10), middle)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "fullchain.pem").write_text("-----BEGIN CERTIFICATE-----\nhalf")
    sites = [site(f"{name}.test", tmp_path / name, origin) for name in ("bad", "junk", "good", "old", "none")]
    with Genkan(tmp_path, config(roots, *sites)) as genkan:
        assert verifies(genkan, "good.test", roots)
        codes = {one["site"]: one["finding_codes"] for one in genkan.status()["certificates"]}
        assert codes["good.test"] == []
        assert codes["bad.test"] == ["KEY_MISMATCH"]
        assert codes["junk.test"] == codes["none.test"] == ["CERTIFICATE_MISSING"]
        assert codes["old.test"] == ["LEAF_EXPIRED"]
        for name in ("bad.test", "junk.test", "none.test"):
            assert "alert" in s_client(genkan.tls_port, name), name
        assert "does not match" in genkan.certificate(site="bad.test")["last_refusal"]
        metrics = run(["curl", "-sS", "--unix-socket", genkan.socket, "http://admin/metrics"], check=True).stdout
        assert 'genkan_certificate_finding{code="KEY_MISMATCH"' in metrics or \
            re.search(r'genkan_certificate_finding\{[^}]*code="KEY_MISMATCH"[^}]*\} 1', metrics), metrics
