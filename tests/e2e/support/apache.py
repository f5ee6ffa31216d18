"""Apache httpd with mod_php, as old sites run it: prefork, short keep-alive, convinced that it is on plain http."""

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from support.eventually import eventually
from support.ports import reserve_port

MODULES = "/usr/lib/apache2/modules"

CONFIG = """
ServerRoot {folder}
DefaultRuntimeDir {folder}
PidFile {folder}/httpd.pid
ServerName legacy.test
Listen 127.0.0.1:{port}
{modules}
{identity}
StartServers 8
MinSpareServers 4
MaxSpareServers 16
MaxRequestWorkers 64
KeepAlive On
KeepAliveTimeout {keep_alive}
MaxKeepAliveRequests 25
ErrorLog {folder}/error.log
LogLevel warn
TypesConfig /etc/mime.types
DocumentRoot {folder}/www
DirectoryIndex index.php index.html
<Directory {folder}/www>
  Require all granted
</Directory>
<FilesMatch "\\.php$">
  SetHandler application/x-httpd-php
</FilesMatch>
"""


class Apache:
    """`with Apache({"index.php": text}, keep_alive=1) as origin: … origin.url`. As root its children are www-data."""

    def __init__(self, pages, keep_alive=5):
        # Not pytest's folder: www-data may not look into that.
        self.folder = Path(tempfile.mkdtemp(prefix="genkan-apache-"))
        self.folder.chmod(0o755)
        for name, text in pages.items():
            page = self.folder / "www" / name
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
        self._keep_alive = keep_alive
        self._process = None
        self.port = 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def error_log(self):
        path = self.folder / "error.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def _start(self):
        """False where it ends at once. Apache cannot be given port 0."""
        self.port = reserve_port()
        php = glob.glob(f"{MODULES}/libphp*.so")
        assert php, "libapache2-mod-php is not installed"
        files = {name: f"{MODULES}/mod_{name}.so" for name in ("mpm_prefork", "authz_core", "dir", "mime")}
        files["php"] = php[0]
        modules = "\n".join(f"LoadModule {name}_module {file}" for name, file in files.items())
        config = self.folder / "httpd.conf"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port, modules=modules,
                                        identity="User www-data\nGroup www-data" if os.getuid() == 0 else "",
                                        keep_alive=self._keep_alive))
        # A session of its own: at its end Apache sends SIGTERM to its whole process group, the test in it.
        self._process = subprocess.Popen(["/usr/sbin/apache2", "-f", config, "-D", "FOREGROUND"],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                         start_new_session=True)

        def is_up():
            if self._process.poll() is not None:
                return True
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", self.port)) == 0

        eventually(is_up, longest=60, what="Apache's port")
        return self._process.poll() is None

    def __enter__(self):
        for _ in range(5):
            if self._start():
                return self
        said = self._process.stdout.read().decode(errors="replace")
        log = self.error_log()
        self.__exit__()
        raise AssertionError(f"Apache does not start:\n{said}{log}")

    def __exit__(self, *_):
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process is not None:
            self._process.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)
