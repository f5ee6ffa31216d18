#!/usr/bin/env python3
"""Builds docker/Dockerfile as it is, without a Docker engine, and lets the image do its work.

A debootstrap tree is imported under the base images' names; buildah builds and runs in a chroot. The
image then runs with its own defaults (uid 10001, ports 8080 and 8443) in a network of its own, beside
what docker/compose.yaml puts there: a legacy origin, and certbot with the same uid on two shared
volumes. It issues from Pebble and renews through the running image. Nobody runs chmod or chown.
"""

import contextlib
import ctypes
import fcntl
import http.server
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MIRROR = os.environ.get("GENKAN_DEBIAN_MIRROR", "http://deb.debian.org/debian")
NAME = "genkan.test"
UID = 10001
SKIPPED = 77


def say(text):
    print(f"[{time.monotonic() - BEGAN:6.1f} s] {text}", flush=True)


BEGAN = time.monotonic()


def run(*argv, **options):
    done = subprocess.run([str(word) for word in argv], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, **options)
    if done.returncode != 0:
        print(done.stdout[-6000:])
        raise AssertionError(f"exit {done.returncode}: {' '.join(map(str, argv))}")
    return done.stdout


def eventually(seconds, what, condition):
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


class Store:
    """A container storage of our own, so that the machine's images are neither used nor changed."""

    def __init__(self, folder):
        self.folder = folder
        self.flags = ["--root", folder / "storage", "--runroot", folder / "run", "--storage-driver", "vfs"]

    def buildah(self, verb, *argv, **options):
        return run("buildah", *self.flags, verb, *argv, **options)

    def import_base(self):
        tree = self.folder / "tree"
        say(f"debootstrap from {MIRROR}")
        run("debootstrap", "--variant=minbase", "bookworm", tree, MIRROR)
        archive = self.folder / "tree.tar"
        run("tar", "-C", tree, "--one-file-system", "-cf", archive, ".")
        for name in sorted(set(re.findall(r"^FROM (\S+)", (ROOT / "docker/Dockerfile").read_text(), re.M))):
            say(f"importing the tree as {name}")
            run("podman", *self.flags, "--cgroup-manager", "cgroupfs", "import", archive,
                f"docker.io/library/{name}")
        archive.unlink()
        shutil.rmtree(tree)

    def build(self):
        say("building docker/Dockerfile")
        self.buildah("bud", "--isolation", "chroot", "--pull-never", "--network", "host",
                     "-f", ROOT / "docker/Dockerfile", "-t", "localhost/genkan", ROOT)
        say("built")


def check_image(store, container, mounted):
    """What the specification promises about the image at rest."""
    config = json.loads(store.buildah("inspect", "--type", "image", "localhost/genkan"))["OCIv1"]["config"]
    assert config["User"] == f"{UID}:{UID}", config
    assert set(config["ExposedPorts"]) == {"8080", "8443"} or \
        set(config["ExposedPorts"]) == {"8080/tcp", "8443/tcp"}, config
    for folder in ("etc/letsencrypt", "var/www/acme", "var/lib/genkan", "run/genkan"):
        status = (mounted / folder).stat()
        assert (status.st_uid, status.st_gid) == (UID, UID), f"{folder}: {status}"
    for tool in ("usr/bin/g++", "usr/bin/cmake", "usr/bin/gcc"):
        assert not (mounted / tool).exists(), f"the image carries {tool}"
    listed = store.buildah("run", "--isolation", "chroot", container, "--", "ldd", "/usr/bin/genkan")
    assert "not found" not in listed, listed
    size = int(run("du", "-sxm", mounted).split()[0])
    say(f"the image's files: {size} MiB")
    return config["Entrypoint"] + config["Cmd"]


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(any_socket, 0x8913, request))[1]  # SIOCGIFFLAGS
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sH14x", b"lo", flags | 1))      # SIOCSIFFLAGS, IFF_UP


def own_world(folder):
    """A network with nothing but loopback, and an /etc/hosts that knows the test's name."""
    clone_newns, clone_newnet, ms_rec, ms_private, ms_bind = 0x20000, 0x40000000, 0x4000, 1 << 18, 0x1000
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(clone_newns | clone_newnet) == 0, os.strerror(ctypes.get_errno())
    assert libc.mount(b"none", b"/", None, ms_rec | ms_private, None) == 0
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {NAME}\n")
    assert libc.mount(str(hosts).encode(), b"/etc/hosts", None, ms_bind, None) == 0
    loopback_up()


class Legacy(http.server.BaseHTTPRequestHandler):
    """An origin with old manners: HTTP/1.0, the body ends with the connection."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"proto={self.headers.get('X-Forwarded-Proto')}\n".encode())

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def process(name, argv, folder, **options):
    log = folder / f"{name}.log"
    with open(log, "wb") as output:
        started = subprocess.Popen([str(word) for word in argv], stdout=output, stderr=output, **options)
    try:
        yield started
    except BaseException:
        print(f"--- {name}:\n{log.read_text(errors='replace')[-6000:]}")
        raise
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def make_pebble(folder):
    """Pebble's own certificate and configuration; it validates at the image's port."""
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", folder / "pebble.key", "-out", folder / "pebble.pem", "-days", "30",
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    config = {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000",
              "certificate": str(folder / "pebble.pem"), "privateKey": str(folder / "pebble.key"),
              "httpPort": 8080, "tlsPort": 8443, "ocspResponderURL": "",
              "externalAccountBindingRequired": False}
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    return ["pebble", "-config", folder / "pebble.json"]


def certbot(folder, volumes, *more):
    """certbot as the compose file runs it: the image's uid, the two volumes, nothing else."""
    as_user = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups"]
    home = pathlib.Path(run(*as_user, "mktemp", "-d").strip())
    try:
        return run(
            *as_user, "env", f"HOME={home}", f"REQUESTS_CA_BUNDLE={folder / 'pebble.pem'}", "certbot",
            "certonly", "--non-interactive", "--agree-tos", "--email", "a@genkan.test",
            "--server", "https://localhost:14000/dir", "--webroot", "--webroot-path",
            volumes["/var/www/acme"], "--cert-name", NAME, "--domain", NAME,
            "--config-dir", volumes["/etc/letsencrypt"], "--work-dir", home / "work",
            "--logs-dir", home / "logs", *more)
    finally:
        shutil.rmtree(home)


def port_answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def served_serial(trust):
    """The serial in the verified certificate on 8443; None while the handshake fails."""
    try:
        with socket.create_connection(("127.0.0.1", 8443), 2) as plain, \
                trust.wrap_socket(plain, server_hostname=NAME) as secured:
            return secured.getpeercert()["serialNumber"]
    except OSError:
        return None


def fetch(trust, path="/"):
    with socket.create_connection(("127.0.0.1", 8443), 5) as plain, \
            trust.wrap_socket(plain, server_hostname=NAME) as secured:
        secured.sendall(f"GET {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while block := secured.recv(4096):
            answer += block
    return answer.decode()


def use_image(store, folder, container, mounted, command):
    # A named volume begins as a copy of the image's folder, owner and mode included.
    volumes = {}
    for inner in ("/etc/letsencrypt", "/var/www/acme", "/var/lib/genkan", "/run/genkan"):
        volumes[inner] = folder / "volumes" / inner.strip("/").replace("/", "-")
        volumes[inner].parent.mkdir(exist_ok=True)
        run("cp", "-a", mounted / inner.strip("/"), volumes[inner])
    mounts = [word for inner, outer in volumes.items() for word in ("-v", f"{outer}:{inner}")]

    def inside(*argv):
        return [*(["buildah"] + store.flags), "run", "--isolation", "chroot", *mounts,
                "--env", f"GENKAN_CERT=/etc/letsencrypt/live/{NAME}", "--env", f"GENKAN_NAME={NAME}",
                "--env", "GENKAN_UPSTREAM=http://127.0.0.1:8000", container, "--", *argv]

    with contextlib.ExitStack() as stack:
        legacy = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Legacy)
        threading.Thread(target=legacy.serve_forever, daemon=True).start()
        environment = dict(os.environ, PEBBLE_VA_NOSLEEP="1", PEBBLE_WFE_NONCEREJECT="0")
        stack.enter_context(process("pebble", make_pebble(folder), folder, env=environment))
        genkan = stack.enter_context(process("genkan", inside(*command), folder))

        eventually(30, "port 8080 is open although there is no certificate yet", lambda: port_answers(8080))
        eventually(30, "Pebble is up", lambda: port_answers(14000))
        owners = {pathlib.Path(f"/proc/{pid}").stat().st_uid for pid in genkan_pids()}
        assert owners == {UID}, f"genkan runs as {owners}"
        say("genkan is up as uid 10001, without a certificate")

        certbot(folder, volumes)
        say("certbot issued through the running image")
        unverified = ssl.create_default_context()
        unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
        root = urllib.request.urlopen("https://localhost:15000/roots/0", context=unverified).read().decode()
        trust = ssl.create_default_context(cadata=root)
        key = next(volumes["/etc/letsencrypt"].glob("archive/*/privkey1.pem")).stat()
        assert (key.st_uid, key.st_mode & 0o777) == (UID, 0o600), key

        first = eventually(15, "the issued certificate is served and verifies", lambda: served_serial(trust))
        answer = fetch(trust)
        assert answer.startswith("HTTP/1.1 200") and "proto=https" in answer, answer
        say("the page of the legacy origin came over verified TLS")

        healthy = run(*inside("genkan", "status"))
        assert NAME in healthy, healthy
        certbot(folder, volumes, "--force-renewal")
        eventually(5, "the renewed certificate is served, nobody signalled",
                   lambda: served_serial(trust) not in (None, first))
        say("renewed and swapped while running")

        run(*inside("genkan", "stop"))
        assert genkan.wait(40) == 0, f"exit {genkan.returncode} after a stop"
        unhealthy = subprocess.run([str(word) for word in inside("genkan", "status")],
                                   capture_output=True, check=False)
        assert unhealthy.returncode != 0, "the health check must fail when nothing runs"
        say("stopped")


def genkan_pids():
    """Processes of our own network that are genkan; others on this machine are none of our business."""
    ours = os.readlink("/proc/self/ns/net")
    pids = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() == "genkan" and os.readlink(entry / "ns/net") == ours:
                pids.append(int(entry.name))
    assert pids, "no process called genkan"
    return pids


def main():
    lacking = [tool for tool in ("buildah", "podman", "debootstrap", "certbot", "pebble", "setpriv")
               if shutil.which(tool) is None]
    if os.geteuid() != 0 or lacking:
        print(f"skipped: needs root and {', '.join(lacking) or 'nothing else'}")
        return SKIPPED
    # Not mkdtemp: certbot reads Pebble's certificate there, with another uid than ours.
    os.umask(0o022)
    folder = pathlib.Path(os.environ.get("GENKAN_TEST_DIR", tempfile.gettempdir())) / f"genkan-image-{os.getpid()}"
    folder.mkdir()
    store = Store(folder)
    container = None
    try:
        store.import_base()
        store.build()
        container = store.buildah("from", "--pull-never", "localhost/genkan").strip()
        mounted = pathlib.Path(store.buildah("mount", container).strip())
        command = check_image(store, container, mounted)
        own_world(folder)
        use_image(store, folder, container, mounted, command)
        say("done")
        return 0
    finally:
        if container:
            subprocess.run(["buildah", *map(str, store.flags), "rm", "--all"], check=False,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
