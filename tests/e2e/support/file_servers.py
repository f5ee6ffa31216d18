"""Servers of files to stand behind genkan, each with its own idea of what a path means: nginx, PHP's built-in server,
python's http.server. (Apache is in support/apache.py.)

    with Nginx({"a.txt": "text"}) as origin: … origin.url
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from support.eventually import eventually
from support.ports import reserve_port

NGINX_CONFIG = """
daemon off;
master_process off;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/tmp;
  proxy_temp_path {folder}/tmp;
  fastcgi_temp_path {folder}/tmp;
  uwsgi_temp_path {folder}/tmp;
  scgi_temp_path {folder}/tmp;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/www;
    default_type text/plain;
  }}
}}
"""


class FileServer:
    """A program that serves the folder `www` on a loopback port."""

    def __init__(self, pages):
        # Not pytest's folder: a server that gives up root may not look into that.
        self.folder = Path(tempfile.mkdtemp(prefix="genkan-files-"))
        self.folder.chmod(0o755)
        self.root = self.folder / "www"
        for name, text in pages.items():
            page = self.root / name
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
        self.port = 0
        self._process = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def command(self):
        raise NotImplementedError

    def _start(self):
        """False where it ends at once. None of them says which port it got for 0."""
        self.port = reserve_port()
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                             cwd=self.root, start_new_session=True)

        def is_up():
            if self._process.poll() is not None:
                return True
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(is_up, longest=60, what=f"{type(self).__name__}'s port")
        return self._process.poll() is None

    def __enter__(self):
        for _ in range(5):
            if self._start():
                return self
        said = (self.folder / "output").read_text(errors="replace")
        self.__exit__()
        raise AssertionError(f"{type(self).__name__} does not start:\n{said}")

    def __exit__(self, *_):
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Nginx(FileServer):
    def command(self):
        (self.folder / "tmp").mkdir(exist_ok=True)
        config = self.folder / "nginx.conf"
        user = "user root;" if os.getuid() == 0 else ""
        config.write_text(NGINX_CONFIG.format(folder=self.folder, port=self.port, user=user))
        return ["/usr/sbin/nginx", "-c", str(config), "-e", str(self.folder / "error.log"), "-p", str(self.folder)]


class PhpServer(FileServer):
    def command(self):
        return ["/usr/bin/php", "-S", f"127.0.0.1:{self.port}", "-t", str(self.root)]


class PythonServer(FileServer):
    def command(self):
        return [sys.executable, "-m", "http.server", str(self.port), "--bind", "127.0.0.1", "--directory",
                str(self.root)]
