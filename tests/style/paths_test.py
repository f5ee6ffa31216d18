#!/usr/bin/env python3
"""No file of the tree names a folder of the machine it was written on, and none carries a private key."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Split, so that this file does not find itself.
MACHINE = re.compile(r"(?<![\w.:/$}-])/(?:wo" r"rk/\w|ro" r"ot/\w|ho" r"me/\w|tm" r"p/b/)")
KEY = re.compile(r"-----BEGIN (?:\w+ )?PRIVATE " r"KEY-----\s+[A-Za-z0-9+/]{40}")


def files():
    for file in sorted(ROOT.rglob("*")):
        inner = file.relative_to(ROOT)
        if inner.parts[0] in (".git", "build", ".cache") or "__pycache__" in inner.parts:
            continue
        # A corpus is bytes from a fuzzer, not text that somebody wrote.
        if file.is_file() and "corpus" not in inner.parts:
            yield inner, file.read_text(encoding="utf-8", errors="replace")


def main():
    complaints = []
    for name, text in files():
        if KEY.search(text):
            complaints.append(f"{name}: carries a private key; TestCa makes them at run time")
        for number, line in enumerate(text.splitlines(), 1):
            if MACHINE.search(line):
                complaints.append(f"{name}:{number}: names a folder of one machine: {line.strip()}")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
