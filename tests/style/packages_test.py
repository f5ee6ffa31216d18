#!/usr/bin/env python3
"""docker/packages.txt is the only list of packages: sections, sorted, a reason a line.

Any other file that hands names to apt-get would be a second list.
"""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECTIONS = ["build", "test", "runtime", "docker-test", "bench", "npm", "legacy-clients"]
PACKAGE = re.compile(r"^([a-z0-9][a-z0-9.+-]+(?:@[0-9.]+)?) +# (\S.+)$")
APT = re.compile(r"\bapt(?:-get)?\s+(?:-\S+\s+)*install\b(.*)")


def check_list(text):
    complaints, sections, last, section = [], {}, "", ""
    for number, line in enumerate(text.splitlines(), 1):
        where = f"docker/packages.txt:{number}: "
        found = PACKAGE.match(line)
        if not line or line.startswith("#"):
            continue
        if line.startswith("["):
            name = line.strip("[]")
            if name not in SECTIONS or name in sections:
                complaints.append(where + f"section {line} is unknown or comes twice")
            sections[name], last, section = [], "", name
        elif not sections:
            complaints.append(where + "a package before the first section")
        elif found is None:
            complaints.append(where + f"not `package  # reason`: {line}")
        elif ("@" in found[1]) != (section == "legacy-clients"):
            complaints.append(where + f"a version is given in [legacy-clients], and only there: {line}")
        else:
            if found[1] <= last:
                complaints.append(where + f"{found[1]} comes after {last}: sort, name it once")
            last = found[1]
            list(sections.values())[-1].append(last)
    for name in SECTIONS:
        if not sections.get(name):
            complaints.append(f"docker/packages.txt: section [{name}] is missing or empty")
    for name in sorted(set(sections.get("build", [])) & set(sections.get("test", []))):
        complaints.append(f"docker/packages.txt: {name} is in [build] already")
    return complaints


def second_lists():
    """Scripts and Dockerfiles that install something by its name."""
    for file in sorted(ROOT.rglob("*")):
        inner = file.relative_to(ROOT)
        if inner.parts[0] in (".git", "build") or not file.is_file():
            continue
        if not (file.suffix in ("", ".sh", ".yaml", ".yml") or file.name == "Dockerfile"):
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            found = APT.search(line)
            if found and re.search(r"(?:^|\s)[a-z0-9][a-z0-9.+-]+(?:\s|$)", found[1]):
                yield f"{inner}:{number}: a second list of packages: {line.strip()}"


def self_test():
    good = "[build]\na-b  # why\nc++  # why\n[test]\nx1  # why\n[runtime]\nx2  # why\n[docker-test]\nx3  # why\n[bench]\nx4  # why\n[npm]\nx5  # why\n[legacy-clients]\nx6@1.2.3  # why\n"
    bad = ["ab # early\n" + good, good.replace("c++  # why", "c++"), good.replace("a-b", "zz"),
           good.replace("[test]", "[tests]"), good.replace("x1", "c++"), good.replace("x2  # why\n", ""), good.replace("@1.2.3", ""), good.replace("x2 ", "x2@1 ")]
    return ([f"the good list fails: {check_list(good)}"] if check_list(good) else []) + [
        f"not noticed:\n{text}" for text in bad if not check_list(text)]


def main():
    complaints = self_test()
    complaints += check_list((ROOT / "docker/packages.txt").read_text(encoding="utf-8"))
    complaints += second_lists()
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
