"""Dovecot, a real IMAP server, on a loopback port with a certificate of whatever path; all that it keeps in one folder."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from support.eventually import eventually, run
from support.ports import reserve_port

CONFIG = """
protocols = imap
listen = 127.0.0.1
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
instance_name = genkan-test
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {login}
ssl = required
ssl_cert = <{certificate}
ssl_key = <{key}
mail_location = maildir:{folder}/mail
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""


class Dovecot:
    """`with Dovecot(certificate, key) as mail: … mail.port`. Reads its certificate anew at `mail.reload_command`."""

    def __init__(self, certificate, key):
        # Its sockets' paths must be short, and its users may not look into pytest's folder.
        self.folder = Path(tempfile.mkdtemp(prefix="genkan-mail-"))
        self.folder.chmod(0o755)
        self._certificate, self._key = certificate, key
        self._process = None
        self.port = 0

    @property
    def config(self):
        return self.folder / "dovecot.conf"

    @property
    def reload_command(self):
        return f"doveadm -c {self.config} reload"

    def _start(self):
        """False where it ends at once. Dovecot cannot be given port 0."""
        self.port = reserve_port()
        is_root = os.getuid() == 0
        me, mine = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        self.config.write_text(CONFIG.format(
            folder=self.folder, port=self.port, certificate=self._certificate, key=self._key,
            user="dovecot" if is_root else me, group="dovecot" if is_root else mine,
            login="dovenull" if is_root else me, uid=65534 if is_root else os.getuid(),
            gid=65534 if is_root else os.getgid()))
        self._process = subprocess.Popen(["/usr/sbin/dovecot", "-F", "-c", str(self.config)], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def listens():
            if self._process.poll() is not None:
                return "ended"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return "listens"
            except OSError:
                return None

        if eventually(listens, longest=60, what="dovecot listens") == "listens":
            return True
        self._process.wait()
        return False

    def log(self):
        path = self.folder / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def __enter__(self):
        for _ in range(5):
            if self._start():
                return self
        raise AssertionError(f"dovecot does not start:\n{self.log()}")

    def __exit__(self, *_):
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def greeting(self, ca_file, name):
        """What an IMAP client sees over TLS, verified."""
        done = run(["openssl", "s_client", "-quiet", "-verify_return_error", "-connect", f"127.0.0.1:{self.port}",
                    "-servername", name, "-verify_hostname", name, "-CAfile", ca_file], input="a logout\n", longest=30)
        return done.stdout
