"""genkan with mounts of its own: they are made in a mount namespace that only it has, as root.

    genkan_in(monkeypatch, tmp_path, "mount -t tmpfs -o size=64k tmpfs /some/folder")
    with Genkan(tmp_path, config) as genkan:
        inside(genkan, "cp", "a", "b")        # sees the same mounts
"""

import os
import shlex

from support.eventually import run


def genkan_in(monkeypatch, folder, *commands):
    """From here on `run` of the program makes the mounts first; its process keeps its number."""
    script = folder / "genkan-in-mounts"
    real = shlex.quote(os.environ["GENKAN_BINARY"])
    steps = "\n".join(["set -e", *commands, 'exec "$0" "$@"'])
    script.write_text(f"""#!/bin/sh
[ "$1" = run ] || exec {real} "$@"
exec unshare -m --propagation private sh -c {shlex.quote(steps)} {real} "$@"
""")
    script.chmod(0o755)
    monkeypatch.setenv("GENKAN_BINARY", str(script))


def inside(genkan, *argv):
    return run(["nsenter", "-t", genkan.pid, "-m", "--", *argv], check=True)
