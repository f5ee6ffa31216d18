"""What genkan says about files and flags that are wrong, and that it does not start half."""

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.ca import Lineage
from support.clients import curl
from support.eventually import eventually
from support.genkan import TLS, Genkan, binary, genkan_command
from support.origin import Origin
from support.ports import reserve_port
from support.wire import Connection, tls_context

GOOD = """{user}state_dir = "{folder}/state"
[admin]
listen = ["unix:{folder}/admin.sock"]
[access_log]
output = "off"
[certificates]
trust_store = "{root}"
[[listener]]
address = "127.0.0.1:{port}"
[[listener]]
address = "127.0.0.1:0"
tls     = true
[[site]]
names        = ["a.test"]
certificates = ["{lineage}"]
upstream     = "http://127.0.0.1:1"
"""


@pytest.fixture(name="port")
def _port():
    """A port that nobody has: the test wants to see that it stays so."""
    return reserve_port()


@pytest.fixture(name="file")
def _file(ca, tmp_path, port):
    """A function that writes a configuration, changed by replacements, and says its path."""
    lineage = Lineage(tmp_path, "a.test", ca.issue("a.test"))

    def write(*changes):
        text = GOOD.format(user='user = "root"\n' if os.getuid() == 0 else "", folder=tmp_path, root=ca.root,
                           port=port, lineage=lineage.path)
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "genkan.toml"
        path.write_text(text)
        return path
    write.lineage = lineage
    return write


def is_refused(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


MISTAKES = [("[[site]]", "[[site]]\nupstrem = 1"), ('output = "off"', "output = 7"),
            ("tls     = true", 'tls     = true\nalpn = ["h3"]')]


@pytest.mark.parametrize("command", ["run", "check"])
def test_three_mistakes_are_three_lines_with_their_places(file, port, command):
    path = file(*MISTAKES)
    done = genkan_command(command, "-c", path)
    assert done.returncode == 2
    lines = [line for line in (done.stdout + done.stderr).splitlines() if str(path) in line]
    assert len(lines) == 3, done.stdout + done.stderr
    text = path.read_text().splitlines()
    for line, word in zip(lines, ("output", "alpn", "upstrem")):
        row, column = map(int, re.match(rf"{re.escape(str(path))}:(\d+):(\d+): ", line).groups())
        assert word in text[row - 1], line
        assert 1 <= column <= len(text[row - 1]), line
    assert 'unknown key "upstrem" in [[site]]; did you mean "upstream"?' in lines[2]
    assert is_refused(port)


def test_a_file_that_is_not_toml_says_where(file):
    path = file(("[[site]]", "[[site"))
    done = genkan_command("run", "-c", path)
    assert done.returncode == 2
    assert re.search(rf"{re.escape(str(path))}:\d+:\d+: ", done.stderr), done.stderr


def test_a_file_that_is_not_there_is_named(tmp_path):
    done = genkan_command("run", "-c", tmp_path / "nowhere.toml")
    assert done.returncode == 2
    assert "nowhere.toml" in done.stderr


def test_a_port_that_is_taken_is_named_and_nothing_else_is_kept(file, port):
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        path = file(('address = "127.0.0.1:0"', f'address = "127.0.0.1:{taken}"'))
        done = genkan_command("run", "-c", path)
        assert done.returncode == 2
        assert str(taken) in done.stderr, done.stderr
        assert is_refused(port)


@pytest.mark.parametrize("args", [
    ["run", "--no-such-flag"], ["run", "--listen"], ["no-such-command"], ["run", "--cert", "x"],
    ["run", "--upstream", "http://127.0.0.1:1"], ["check", "--jsn"], ["status", "extra"]], ids=" ".join)
def test_wrong_usage_is_64(args):
    done = genkan_command(*args, env={**os.environ, "GENKAN_CONFIG": "/nonexistent/genkan.toml"})
    assert done.returncode == 64, done.stdout + done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("flags", [["--cert", "/x"], ["--upstream", "http://127.0.0.1:1"]], ids=lambda f: f[0])
def test_flags_of_a_site_beside_a_file_are_64(file, flags, port):
    done = genkan_command("run", "-c", file(), *flags)
    assert done.returncode == 64, done.stdout + done.stderr
    assert is_refused(port)


def test_help_and_version_are_good():
    for args in (["--help"], ["run", "--help"], ["check", "--help"]):
        done = genkan_command(*args)
        assert done.returncode == 0
        assert "genkan" in done.stdout
    done = genkan_command("--version")
    assert (done.returncode, bool(re.search(r"\d+\.\d+\.\d+", done.stdout))) == (0, True)


def test_an_unset_variable_is_an_error_and_a_set_one_is_used(file):
    path = file(("http://127.0.0.1:1", "${ORIGIN_OF_TEST}"))
    done = genkan_command("check", "-c", path)
    assert done.returncode == 2
    assert "ORIGIN_OF_TEST" in done.stdout + done.stderr
    done = genkan_command("check", "-c", path, env={**os.environ, "ORIGIN_OF_TEST": "http://127.0.0.1:1"})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(name="open_folder")
def _open_folder():
    """A folder that a user without rights may look into; pytest's is the owner's alone."""
    with tempfile.TemporaryDirectory(prefix="genkan-flags-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@pytest.mark.parametrize("way", ["flags", "environment"])
def test_without_a_file_it_serves_from_flags_or_the_environment(ca, origin, open_folder, way):
    lineage = Lineage(open_folder, "a.test", ca.issue("a.test"))
    program = shutil.copy(binary(), open_folder / "genkan")
    settings = {"cert": lineage.path, "upstream": origin.url, "listen": "127.0.0.1:0", "http": "127.0.0.1:0",
                "name": "a.test"}
    argv, env = [program, "run"], {"PATH": "/usr/bin:/bin", "STATE_DIRECTORY": str(open_folder / "state")}
    for key, value in settings.items():
        if way == "flags":
            argv += [f"--{key}", str(value)]
        else:
            env[f"GENKAN_{key.upper()}"] = str(value)
    # Root would be asked for a user to drop to; anybody else serves as himself.
    other = {}
    if os.getuid() == 0:
        for path in (open_folder, *open_folder.rglob("*")):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        other = {"user": 65534, "group": 65534, "extra_groups": []}
    log = open_folder / "log"
    with open(log, "wb") as output, \
            subprocess.Popen(argv, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=open_folder,
                             **other) as process:
        try:
            ready = eventually(lambda: re.search(r" ready listeners=(\S+) ", log.read_text(errors="replace")),
                               what="ready in the log")
            ports = {bool(tls): int(port) for port, tls in re.findall(r":(\d+)(\(tls\))?", ready.group(1))}
            with Connection(ports[True], tls_context(ca.root)) as client:
                assert client.get("/").body == b"hello /\n"
            with Connection(ports[False]) as client:
                assert client.get("/").status == 301
        except BaseException:
            print(log.read_text(errors="replace"))
            raise
        finally:
            process.terminate()
            process.wait(60)
    assert process.returncode == 0


def test_root_without_a_user_is_told_how_to_make_one(file):
    """Where root runs the tests and nobody made a user genkan: it must not serve as root unasked."""
    if os.getuid() != 0:
        return
    try:
        pwd.getpwnam("genkan")
        return
    except KeyError:
        pass
    done = genkan_command("run", "-c", file(('user = "root"\n', "")))
    assert done.returncode == 2
    assert "useradd" in done.stderr


def test_check_of_what_is_good_is_0(file):
    done = genkan_command("check", "-c", file())
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_of_what_will_break_is_1(file, ca):
    file.lineage.renew(ca.issue("a.test", starts=-88, days=90))
    done = genkan_command("check", "-c", file())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "expire" in done.stdout + done.stderr


@pytest.mark.parametrize("what, word", [("expired", "expired"), ("key", "does not match"), ("name", "does not cover")])
def test_check_of_what_clients_would_refuse_is_2(file, ca, what, word):
    if what == "expired":
        file.lineage.renew(ca.issue("a.test", starts=-100, days=90))
    elif what == "key":
        file.lineage.renew_with({"privkey": ca.issue("a.test").key})
    else:
        file.lineage.renew(ca.issue("b.test"))
    done = genkan_command("check", "-c", file())
    assert done.returncode == 2, done.stdout + done.stderr
    assert word in done.stdout + done.stderr


def test_one_broken_certificate_stops_nobody_else(ca, tmp_path):
    good = Lineage(tmp_path, "a.test", ca.issue("a.test"))
    broken = Lineage(tmp_path, "b.test", ca.issue("b.test"))
    broken.renew_with({"privkey": "no key\n"})
    with Origin() as origin:
        sites = "".join(f'[[site]]\nnames = ["{name}"]\ncertificates = ["{lineage.path}"]\n'
                        f'upstream = "{origin.url}"\n' for name, lineage in (("a.test", good), ("b.test", broken)))
        with Genkan(tmp_path, TLS + sites) as genkan:
            assert curl(genkan, "a.test", ca=ca.root, check=True).stdout == "hello /\n"
            assert curl(genkan, "b.test", ca=ca.root).returncode == 35, "an alert in the handshake"
            genkan.logs("b.test")
