"""Every line that `genkan demo` prints for pasting works as printed, and the demo leaves nothing behind."""

import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from support.eventually import eventually
from support.genkan import binary


class Demo:
    """A running demo on ports of the system's choice, with what it printed."""

    def __init__(self, temporary):
        environment = {**os.environ, "TMPDIR": str(temporary)}
        # pylint: disable-next=consider-using-with
        self.process = subprocess.Popen([binary(), "demo", "--port", "0"], env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            if " status --socket " in line:
                break
        text = "\n".join(self.lines)
        found = re.search(r"on loopback and in (\S+)\.$", text, re.MULTILINE)
        assert found, text
        self.folder = pathlib.Path(found[1])

    def paste(self, beginning, count=1, skip=0):
        """What the lines below the first comment that begins so print, run by a shell."""
        at = next(i for i, line in enumerate(self.lines) if line.startswith("# " + beginning)) + 1 + skip
        command = "\n".join(self.lines[at:at + count])
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60, check=False)
        return done.stdout

    def end(self, number):
        self.process.send_signal(number)
        self.process.communicate(timeout=60)
        return self.process.returncode


@pytest.fixture(name="demo")
def _demo(tmp_path):
    running = Demo(tmp_path)
    yield running
    if running.process.poll() is None:
        running.end(signal.SIGTERM)


def test_every_printed_line_works(demo):
    assert demo.paste("HTTP/2, a chain").split() == ["2", "200", "0"]
    page = demo.paste("What the server behind")
    assert "x-forwarded-proto: https" in page
    sent = demo.paste("The lineage has only")
    assert "OCSP Response Status: successful" in sent
    assert "Cert Status: good" in sent
    assert re.search(r"^ *0 s:.*localhost", sent, re.MULTILINE)
    assert re.search(r"^ *1 s:.*intermediate", sent, re.MULTILINE)
    assert "Verify return code: 0 (ok)" in sent
    before, issued = re.findall(r"serial=([0-9A-F]+)", demo.paste("A renewal", 2))
    assert before != issued
    # It sleeps two seconds, which are enough where nothing else runs.
    eventually(lambda: re.findall(r"serial=([0-9A-F]+)", demo.paste("A renewal", 1, skip=2)) == [issued],
               what="the renewed certificate")
    codes = [line.split()[-1] for line in demo.paste("The challenge passes", 3).splitlines()]
    assert codes == ["200", "403", "403"]
    assert issued in demo.paste("What genkan knows")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly_and_removes_its_folder(demo, number):
    assert (demo.folder / "genkan.toml").exists()
    assert demo.end(number) == 0
    eventually(lambda: not demo.folder.exists(), what="the end of the folder")


def test_a_port_in_use_is_said_and_nothing_is_made(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([binary(), "demo", "--port", str(port)], capture_output=True, text=True,
                              timeout=60, check=False, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--port" in done.stderr
    assert not done.stdout
    assert not list(tmp_path.iterdir())
