"""The load generator (load/load_client.cc) from Python."""

import json
import os
import signal
import subprocess

from support.clients import normal_serial
from support.eventually import run


def hold(port, name, connections, sources=64, ca=None, plain=False, longest=120.0):
    """Opens connections, all at once, and asks on each: {"held", "answered", "errors": {reason: count}}."""
    done = run([os.environ["GENKAN_LOAD"], "hold", "--port", port, "--name", name, "--connections", connections,
                "--sources", sources, *(["--ca", ca] if ca else []), *(["--plain"] if plain else [])],
               longest=longest, check=True)
    return json.loads(done.stdout)


class Load:
    """`with Load(port, name, …) as load:` requests until `stop()`, which gives the report."""

    def __init__(self, port, name, ca, path="/", expect="", keep=16, keep_rate=100, new=4, new_rate=20, sources=64):
        argv = [os.environ["GENKAN_LOAD"], "run", "--port", port, "--name", name, "--ca", ca, "--path", path,
                "--expect", expect, "--keep", keep, "--keep-rate", keep_rate, "--new", new,
                "--new-rate", new_rate, "--sources", sources]
        self._argv = [str(arg) for arg in argv]
        self._process = None

    def __enter__(self):
        self._process = subprocess.Popen(self._argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *exc):
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def stop(self, longest=90.0):
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            out, _ = process.communicate(timeout=longest)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise AssertionError("the load generator did not end")
        assert process.returncode == 0, f"the load generator ended with {process.returncode}"
        return Report(json.loads(out))


class Report:
    """What a load saw. Times are seconds since 1970."""

    def __init__(self, said):
        self.connections = said["connections"]
        self.serials = [normal_serial(serial) for serial in said["serials"]]
        self.failures = said["failures"]
        # (begun, ended, is_fresh, serial)
        self.requests = [(begun / 1000, ended / 1000, bool(fresh), self.serials[index])
                         for begun, ended, fresh, index in said["requests"]]

    def first_seen(self, serial):
        """When the first handshake with this leaf led to an answer; None: never."""
        return min((begun for begun, _, _, seen in self.requests if seen == serial), default=None)

    def under_way(self, since, until):
        """How many requests were in flight or begun between these times."""
        return sum(1 for begun, ended, _, _ in self.requests if begun <= until and ended >= since)

    def new_connections(self, serial):
        """How many connections for one request saw this leaf."""
        return sum(1 for _, _, fresh, seen in self.requests if fresh and seen == serial)

    def took(self):
        """Seconds from the first request to the last."""
        return max(r[1] for r in self.requests) - min(r[0] for r in self.requests) if self.requests else 0

    def rate(self):
        """Requests a second."""
        return len(self.requests) / max(self.took(), 0.001)

    def summary(self):
        took = self.took()
        return (f"{len(self.requests)} requests in {took:.1f} s on {self.connections} connections, "
                f"{len(self.failures)} failed {self.failures[:5]}")
