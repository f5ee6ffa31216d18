"""The real program under test: `with Genkan(tmp_path, config) as genkan:`.

The configuration gets what each test needs (user, state_dir, log, admin socket) unless it says it itself, so a test
writes listeners, sites and modules. Listeners bind port 0; the real ports come from `genkan status`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from support.clients import normal_serial
from support.eventually import eventually, run

PLAIN = '[[listener]]\naddress = "127.0.0.1:0"\n'
TLS = '[[listener]]\naddress = "127.0.0.1:0"\ntls = true\n'
LISTENERS = PLAIN + TLS


def binary():
    return os.environ["GENKAN_BINARY"]


def genkan_command(*args, longest=60.0, env=None):
    """`genkan ARGS` to its end: stdout, stderr, returncode."""
    return run([binary(), *args], longest=longest, env=env)


def whole_lines(path):
    """The text of a file that somebody writes, without what may be half a line."""
    text = path.read_text(errors="replace") if path.exists() else ""
    return text[:text.rfind("\n") + 1]


class Genkan:
    """One running genkan. On the way out it is stopped; what it logged is shown when the test failed."""

    def __init__(self, folder, config, workers=2, env=None, start_within=60.0):
        self.folder = Path(folder) / "genkan"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_path = self.folder / "genkan.toml"
        self.socket = self.folder / "admin.sock"
        self.state_dir = self.folder / "state"
        self.log_path = self.folder / "log"
        self.access_log_path = self.folder / "access.log"
        self._workers = workers
        self._env = {**os.environ, **(env or {})}
        self._start_within = start_within
        self._process = None
        self._listeners = []
        self.write_config(config)

    def write_config(self, config):
        """Replaces the file; the running program reads it at `reload()`."""
        top = re.split(r"^\[", config, maxsplit=1, flags=re.M)[0]
        tables = set(re.findall(r"^\[([a-z_]+)\]", config, flags=re.M))
        head, tail = "", ""
        for key, value in (("user", '"root"' if os.getuid() == 0 else None),
                           ("workers", self._workers), ("state_dir", f'"{self.state_dir}"')):
            if value is not None and not re.search(rf"^{key}\s*=", top, flags=re.M):
                head += f"{key} = {value}\n"
        for table, line in (("admin", f'listen = ["unix:{self.socket}"]'),
                            ("access_log", f'output = "{self.access_log_path}"')):
            if table not in tables:
                tail += f"\n[{table}]\n{line}\n"
        self.config_path.write_text(head + config + tail)

    # Life.

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.kill()
            self.show_log()
            raise
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.kill()
            self.show_log()
            return
        if self._process is not None:
            code = self.stop()
            if code != 0:
                self.show_log()
                raise AssertionError(f"genkan ended with {code}")

    def start(self):
        """Starts it and returns when it serves."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [binary(), "run", "-c", str(self.config_path)], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self._env)
        deadline = time.monotonic() + self._start_within
        while True:
            status = self._try_status()
            if status and status["pid"] == self._process.pid and status["state"] == "serving":
                break
            code = self._process.poll()
            if code is not None:
                self._process = None
                raise AssertionError(f"genkan ended with {code} at its start")
            if time.monotonic() > deadline:
                raise AssertionError(f"genkan was not ready within {self._start_within} s")
            time.sleep(0.02)
        self._listeners = status["listeners"]

    def stop(self, longest=60.0):
        """SIGTERM, then its exit code (negative: a signal's number). Killed when it takes too long."""
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(longest)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def restart(self):
        code = self.stop()
        assert code == 0, f"genkan ended with {code}"
        self.start()

    def kill(self):
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.wait()

    def send_signal(self, number):
        self._process.send_signal(number)

    def wait(self, longest=60.0):
        """Its exit code once it has ended by itself (or by a signal that the test sent)."""
        code = self._process.wait(longest)
        self._process = None
        return code

    @property
    def is_running(self):
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        return self._process.pid

    # What it listens on.

    @property
    def plain_ports(self):
        return [self._port(one) for one in self._listeners if not one["tls"]]

    @property
    def tls_ports(self):
        return [self._port(one) for one in self._listeners if one["tls"]]

    @property
    def plain_port(self):
        return self.plain_ports[0]

    @property
    def tls_port(self):
        return self.tls_ports[0]

    @staticmethod
    def _port(listener):
        return int(listener["address"].rsplit(":", 1)[1])

    def url(self, host, path="/", tls=True):
        scheme, port = ("https", self.tls_port) if tls else ("http", self.plain_port)
        return f"{scheme}://{host}:{port}{path}"

    # The admin socket.

    def command(self, name, *args, longest=60.0):
        """`genkan NAME --socket … ARGS` about this one."""
        return genkan_command(name, "--socket", str(self.socket), *args, longest=longest)

    def _try_status(self):
        try:
            done = self.command("status", "--json")
        except subprocess.TimeoutExpired:
            return None  # it has the socket, and a thousand certificates to read first
        if done.returncode not in (0, 1) or not done.stdout.startswith("{"):
            return None
        return json.loads(done.stdout)

    def status(self):
        done = self.command("status", "--json")
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"genkan status: exit {done.returncode}\n{done.stdout}\n{done.stderr}")

    def certificate(self, site=None, name=None):
        """The entry of `certificates` in the status for this site or lineage; the first without either."""
        for one in self.status()["certificates"]:
            if site in (None, one["site"]) and name in (None, one["name"]):
                return one
        return None

    def reload(self, *args):
        return self.command("reload", *args)

    def memory_bytes(self):
        """Resident memory of the process now."""
        text = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", text, flags=re.M).group(1)) * 1024

    def descriptors(self):
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def own_memory_bytes(self):
        """Memory of the process, what it shares with others divided by their number (PSS)."""
        text = Path(f"/proc/{self.pid}/smaps_rollup").read_text()
        return int(re.search(r"^Pss:\s+(\d+) kB", text, flags=re.M).group(1)) * 1024

    # What it said.

    def log(self):
        """What it has written so far. A thread of its own writes it: what a status or an answer shows may not be here yet."""
        return whole_lines(self.log_path)

    def access_log(self):
        """What it has written so far, which it does once a second."""
        return whole_lines(self.access_log_path)

    def logs(self, text, longest=60.0):
        """Waits until this text is in the log, and returns the log."""
        return eventually(lambda: text in (log := self.log()) and log, longest=longest, what=f"{text!r} in the log")

    def swapped_at(self, serial):
        """When it put the leaf with this serial into service in the place of another: seconds since 1970, None: not yet."""
        for line in self.log().splitlines():
            if " cert_swapped " in line and normal_serial(re.search(r" serial=(\S+)", line).group(1)) == serial:
                return datetime.fromisoformat(line.split(" ")[0]).timestamp()
        return None

    def show_log(self, lines=150):
        tail = self.log().splitlines()[-lines:]
        try:
            print("---- genkan's log ----", *tail, "----------------------", sep="\n", file=sys.stderr)
        except OSError:
            pass  # who would read it is gone; what called this still has processes to end
