"""genkan and its peers with equal TLS settings: how each is configured, started and found.

All: TLS 1.2 and 1.3, tickets, the same certificate and chain, one worker, no access log, keep-alive to the
origin, nothing spooled to disk, no limit of an address. What else there is stands at the program's default, but
for buffers: nginx and haproxy get larger ones where that makes them cheaper.
"""

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

NAME = "bench.test"
# Started as root they stay root: what is measured is no change of users.
IS_ROOT = os.geteuid() == 0
# A connection to the origin for each of a client.
MOST_CONNECTIONS = min(20000, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100) // 2)


_held = []


def free_port():
    """One that nobody else is given: bound, and not listened on until a proxy does (all of them say SO_REUSEADDR)."""
    probe = socket.socket()
    _held.append(probe)
    probe.bind(("127.0.0.1", 0))
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return probe.getsockname()[1]


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


class Certificates:
    """A root, an intermediate, and a leaf of each kind ("ec", "rsa")."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.root = self.folder / "root.pem"
        self._make("root", None, "ec", "basicConstraints=critical,CA:TRUE", "/CN=bench root")
        self._make("intermediate", "root", "ec", "basicConstraints=critical,CA:TRUE", "/CN=bench intermediate")
        for kind in ("ec", "rsa"):
            self._make(kind, "intermediate", kind, f"subjectAltName=DNS:{NAME}", f"/CN={NAME}")
            chain = self._pem(kind) + self._pem("intermediate")
            self.chain(kind).write_text(chain)
            self.pair(kind).write_text(chain + self.key(kind).read_text())

    def _pem(self, name):
        return (self.folder / f"{name}.pem").read_text()

    def chain(self, kind):
        return self.folder / f"{kind}.chain.pem"

    def key(self, kind):
        return self.folder / f"{kind}.key"

    def pair(self, kind):
        return self.folder / f"{kind}.pair.pem"

    def renewal(self, number, kind="ec"):
        """Another certificate of the same name, in files of its own: (chain, key, both)."""
        name = f"{kind}{number}"
        self._make(name, "intermediate", kind, f"subjectAltName=DNS:{NAME}", f"/CN={NAME}")
        chain = self._pem(name) + self._pem("intermediate")
        key = self.key(name).read_text()
        return chain, key, chain + key

    def serve(self, renewal, kind="ec"):
        """Puts it where the proxies read theirs, each file whole."""
        for path, text in zip((self.chain(kind), self.key(kind), self.pair(kind)), renewal):
            new = path.with_suffix(".new")
            new.write_text(text)
            new.rename(path)

    def _make(self, name, issuer, kind, extension, subject):
        key, request, cert = (self.folder / f"{name}.{end}" for end in ("key", "csr", "pem"))
        algorithm = (["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec"
                     else ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        openssl("genpkey", *algorithm, "-out", key)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(extension + "\nsubjectKeyIdentifier=hash\n")
        openssl("req", "-new", "-key", key, "-subj", subject, "-out", request)
        signer = (["-signkey", key] if issuer is None else
                  ["-CA", self.folder / f"{issuer}.pem", "-CAkey", self.folder / f"{issuer}.key", "-CAcreateserial"])
        openssl("x509", "-req", "-in", request, "-days", 30, "-extfile", extensions, "-out", cert, *signer)


def pin(cpu, command):
    """COMMAND on one CPU, where there is more than one; None: on all."""
    cpus = sorted(os.sched_getaffinity(0))
    return command if len(cpus) < 2 or cpu is None else ["taskset", "-c", str(cpus[min(cpu, len(cpus) - 1)]), *command]


class Process:
    """A started program with its children."""

    def __init__(self, command, cpu, log, environment=None):
        self.log = Path(log)
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen(pin(cpu, list(map(str, command))), stdout=output,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                            start_new_session=True, env=environment)

    def pids(self):
        found, queue = [], [self.process.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    queue += [int(child) for child in task.read_text().split()]
                except OSError:
                    continue
        return found

    def thread_times(self):
        """Nanoseconds on a CPU of every thread."""
        times = {}
        for pid in self.pids():
            for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                try:
                    times[file.parent.name] = int(file.read_text().split()[0])
                except OSError:
                    continue
        return times

    def pss_kib(self):
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total

    def wait_for(self, port, limit=120):
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self.process.args[0]} does not listen: {self.log.read_text()[-2000:]}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(3)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # children that outlive it
        except ProcessLookupError:
            pass


class Proxy:
    """One running instance: a program, a certificate kind and an origin."""

    name = package = ""
    program = ""
    speaks_h2 = True

    def __init__(self, folder, certificates, kind, origin, workers=1):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.port = free_port()
        self.workers = workers
        self.process = Process(self.configure(certificates, kind, origin), 0 if workers == 1 else None, self.folder / "log", self.environment())
        self.process.wait_for(self.port)

    @classmethod
    def find(cls):
        return shutil.which(cls.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")

    def environment(self):
        return None

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def configure(self, certificates, kind, origin):
        raise NotImplementedError

    def swap(self, certificates):
        """Tells it, as its operator would, that there is another certificate."""
        raise NotImplementedError

    def stop(self):
        self.process.stop()


class Genkan(Proxy):
    name = "genkan"

    @classmethod
    def find(cls):
        return os.environ.get("GENKAN_BINARY")

    def configure(self, certificates, kind, origin):
        config = self.write("genkan.toml", f"""
workers = {self.workers}
{'user = "root"' if IS_ROOT else ""}
state_dir = "{self.folder}/state"
[log]
level = "warn"
[access_log]
output = "off"
[admin]
listen = ["unix:{self.folder}/admin.sock"]
[limits]
connections_per_address = 0
handshakes_per_address = 0
[certificates]
trust_store = "{certificates.root}"
[[listener]]
address = "127.0.0.1:{self.port}"
tls = true
[[site]]
names = ["{NAME}"]
certificates = [{{ certificate = "{certificates.chain(kind)}", key = "{certificates.key(kind)}" }}]
upstream = "http://127.0.0.1:{origin}"
""")
        return [self.find(), "run", "-c", config]

    def swap(self, certificates):
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.folder / "admin.sock"))
            admin.sendall(b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            while admin.recv(65536):
                pass


class Before(Genkan):
    """Another build of genkan, to see what a change is worth."""

    name = "before"

    @classmethod
    def find(cls):
        return os.environ.get("GENKAN_BEFORE")


class Nginx(Proxy):
    name = package = program = "nginx"

    def configure(self, certificates, kind, origin):
        config = self.write("nginx.conf", f"""
daemon off; worker_processes {self.workers}; pid {self.folder}/pid; error_log stderr crit; {"user root;" if IS_ROOT else ""}
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off; client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;
  client_body_buffer_size 64k; proxy_buffer_size 64k; proxy_buffers 8 64k; proxy_busy_buffers_size 128k;
  client_body_temp_path {self.folder}/a; proxy_temp_path {self.folder}/b; fastcgi_temp_path {self.folder}/c;
  uwsgi_temp_path {self.folder}/d; scgi_temp_path {self.folder}/e;
  ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on; ssl_certificate {certificates.chain(kind)};
  ssl_certificate_key {certificates.key(kind)};
  upstream origin {{ server 127.0.0.1:{origin}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{self.port} ssl http2{" reuseport" if self.workers > 1 else ""}; server_name {NAME};
    location / {{
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    }}
  }}
}}
""")
        return [self.find(), "-c", config, "-p", self.folder]


class Haproxy(Proxy):
    name = package = program = "haproxy"

    def configure(self, certificates, kind, origin):
        config = self.write("haproxy.cfg", f"""
global
  stats socket {self.folder}/admin.sock mode 600 level admin
  nbthread {self.workers}
  maxconn {MOST_CONNECTIONS}
  tune.bufsize 65536
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-keep-alive 60s
  option forwardfor
frontend front
  bind 127.0.0.1:{self.port} ssl crt {certificates.pair(kind)} alpn h2,http/1.1
  http-request set-header X-Forwarded-Proto https
  default_backend origin
backend origin
  http-reuse always
  server one 127.0.0.1:{origin}
""")
        self.certificate = certificates.pair(kind)
        return [self.find(), "-f", config]

    def swap(self, certificates):
        pem = "\n".join(line for line in self.certificate.read_text().splitlines() if line)
        for command in (f"set ssl cert {self.certificate} <<\n{pem}\n\n", f"commit ssl cert {self.certificate}\n"):
            with socket.socket(socket.AF_UNIX) as admin:
                admin.connect(str(self.folder / "admin.sock"))
                admin.sendall(command.encode())
                while admin.recv(65536):
                    pass


class Hitch(Proxy):
    name = package = program = "hitch"
    speaks_h2 = False

    def configure(self, certificates, kind, origin):
        config = self.write("hitch.conf", f"""
frontend = {{ host = "127.0.0.1" port = "{self.port}" }}
backend = "[127.0.0.1]:{origin}"
pem-file = "{certificates.pair(kind)}"
workers = {self.workers}
daemon = off
syslog = off
log-level = 0
alpn-protos = "http/1.1"
tls-protos = TLSv1.2 TLSv1.3
""")
        return [self.find(), "--config", config] + (["--user", "root"] if IS_ROOT else [])


class Nghttpx(Proxy):
    name = program = "nghttpx"
    package = "nghttp2-proxy"

    def configure(self, certificates, kind, origin):
        return [self.find(), f"--frontend=127.0.0.1,{self.port}", f"--backend=127.0.0.1,{origin};/;proto=http/1.1",
                f"--workers={self.workers}", "--accesslog-file=/dev/null", "--log-level=ERROR", "--no-ocsp",
                "--add-x-forwarded-for", "--tls-min-proto-version=TLSv1.2", f"--conf={os.devnull}",
                "--backend-keep-alive-timeout=60",
                str(certificates.key(kind)), str(certificates.chain(kind))]


class H2o(Proxy):
    name = package = program = "h2o"

    def configure(self, certificates, kind, origin):
        config = self.write("h2o.yaml", f"""
num-threads: {self.workers}
max-connections: {MOST_CONNECTIONS}
http1-request-timeout: 60
http2-idle-timeout: 60
error-log: {self.folder}/error.log
{"user: root" if IS_ROOT else ""}
listen:
  host: 127.0.0.1
  port: {self.port}
  ssl:
    certificate-file: {certificates.chain(kind)}
    key-file: {certificates.key(kind)}
    minimum-version: TLSv1.2
    ocsp-update-interval: 0
    neverbleed: OFF
ssl-session-resumption:
  mode: cache
hosts:
  "{NAME}":
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{origin}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 60000
""")
        return [self.find(), "-m", "worker", "-c", config]


class Caddy(Proxy):
    name = package = program = "caddy"

    def environment(self):
        return dict(os.environ, GOMAXPROCS=str(self.workers), HOME=str(self.folder))

    def configure(self, certificates, kind, origin):
        config = self.write("caddy.json", json.dumps({
            "admin": {"disabled": True},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {
                "http": {"servers": {"bench": {
                    "listen": [f"127.0.0.1:{self.port}"],
                    "automatic_https": {"disable": True},
                    "tls_connection_policies": [{}],
                    "routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [
                        {"dial": f"127.0.0.1:{origin}"}]}]}]}}},
                "tls": {"certificates": {"load_files": [
                    {"certificate": str(certificates.chain(kind)), "key": str(certificates.key(kind))}]}}}}))
        return [self.find(), "run", "--config", config]


PROXIES = {proxy.name: proxy for proxy in (Genkan, Before, Nginx, Haproxy, Hitch, Nghttpx, H2o, Caddy)}


class Origin:
    """nginx, plain, keep-alive, with answers of 128 B, 1 KiB and 64 MiB from memory-backed files."""

    def __init__(self, folder):
        folder = Path(folder)
        (folder / "www").mkdir(parents=True)
        for name, size in (("small", 128), ("kib", 1024), ("large", 64 * 1024 * 1024)):
            (folder / "www" / name).write_bytes(b"o" * size)
        self.port = free_port()
        config = folder / "nginx.conf"
        config.write_text(f"""
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr crit; {"user root;" if IS_ROOT else ""} worker_rlimit_nofile 65536;
events {{ worker_connections 16384; multi_accept on; }}
http {{
  access_log off; sendfile on; tcp_nopush on; output_buffers 2 256k; keepalive_requests 100000000; keepalive_timeout 300s;
  open_file_cache max=10 inactive=1h; open_file_cache_valid 1h;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen 127.0.0.1:{self.port} backlog=4096; root {folder}/www; etag off; }}
}}
""")
        self.process = Process([Nginx.find(), "-c", config, "-p", folder], 1, folder / "log")
        self.process.wait_for(self.port)

    def stop(self):
        self.process.stop()


class Sink:
    """The load generator as an origin that takes uploads."""

    def __init__(self, folder, load):
        folder = Path(folder)
        folder.mkdir(parents=True)
        log = folder / "log"
        self.process = Process([load, "sink"], 1, log)
        deadline = time.monotonic() + 60
        while not log.read_text().endswith("\n"):
            if time.monotonic() > deadline:
                raise RuntimeError("the sink does not start")
            time.sleep(0.02)
        self.port = json.loads(log.read_text())["port"]

    def stop(self):
        self.process.stop()
