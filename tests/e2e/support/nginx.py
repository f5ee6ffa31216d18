"""nginx as people run it, for what it sends: it takes the file of certificates as it is.

    with Nginx(tmp_path, {"a.test": (chain_pem, key_pem)}) as server: … server.port
"""

import os
import signal
import socket
import subprocess
from pathlib import Path

from support.eventually import eventually
from support.ports import reserve_port

HEAD = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {folder}/t1;
  proxy_temp_path {folder}/t2;
  fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4;
  scgi_temp_path {folder}/t5;
"""
SERVER = """
  server {{
    listen 127.0.0.1:{port} {kind};
    server_name {name};
    {certificates}
    {more}
    location / {{ return 200 "hello\\n"; }}
  }}
"""


class Nginx:
    """sites: name -> one (chain, key) or a list of them, as PEM texts; None: plain HTTP. `more`: lines of each server."""

    def __init__(self, folder, sites, more=""):
        self.folder = Path(folder) / "nginx"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sites = sites
        self._more = more
        self._process = None
        self.port = 0

    def _config(self):
        text = HEAD.format(folder=self.folder)
        for name, pairs in self._sites.items():
            lines = ""
            pairs = [] if pairs is None else pairs if isinstance(pairs, list) else [pairs]
            for number, (chain, key) in enumerate(pairs):
                base = self.folder / f"{name}{number}"
                base.with_suffix(".crt").write_text(chain)
                base.with_suffix(".key").write_text(key)
                lines += f"ssl_certificate {base.with_suffix('.crt')};\n"
                lines += f"ssl_certificate_key {base.with_suffix('.key')};\n"
            text += SERVER.format(port=self.port, kind="ssl" if pairs else "", name=name, certificates=lines,
                                  more=self._more)
        return text + "}\n"

    def _start(self):
        """False where it ends at once. nginx cannot be given port 0."""
        self.port = reserve_port()
        config = self.folder / "nginx.conf"
        config.write_text(self._config())
        self._process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", str(self.folder), "-e", str(self.folder / "error.log"), "-c", str(config)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=dict(os.environ))

        def is_up():
            if self._process.poll() is not None:
                return True
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(is_up, longest=60, what="nginx's port")
        return self._process.poll() is None

    def __enter__(self):
        said = ""
        for _ in range(5):
            if self._start():
                return self
            said += self._process.stderr.read().decode(errors="replace")
            self._process.stderr.close()
        raise AssertionError(f"nginx does not start:\n{said}")

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stderr.close()
