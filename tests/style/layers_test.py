#!/usr/bin/env python3
"""Holds every #include under proxy/ and modules/ against the table of layers in proxy/README.md.

An include that the table does not allow fails, and so does a library's header outside its home.

  layers_test.py [ROOT]         check the tree
  layers_test.py --self-test    check this test, on a tree with one mistake of each kind
"""

import pathlib
import re
import sys
import tempfile

# Where a library may be seen: its header's first letters -> the folders or files of proxy/ that may
# include it. "modules" is modules/*.cc. The longest prefix that fits decides.
EVERYWHERE = ["base", "event", "net", "tls", "http", "module", "config", "upstream", "server",
              "control", "cli", "main.cc"]
HOMES = {
    "openssl/": ["tls"],
    "sodium.h": ["tls/provider"],
    "cpuid.h": ["tls"],
    "immintrin.h": ["tls"],
    "nghttp2/": ["http"],
    "event2/": ["event"],
    "toml++/": ["config"],
    "toml.hpp": ["config"],
    "CLI/": ["cli", "main.cc"],
    "curl/": ["control"],
    "spdlog/": ["base/log"],
    "nlohmann/": ["control", "cli"],
    "prometheus/": ["control"],
    "systemd/": ["control"],
    "seccomp.h": ["control"],
    "hiredis/": ["control/store"],
    "tl/expected.hpp": ["base/result"],
    "fmt/": EVERYWHERE,
    "crypt.h": ["modules"],
    "zlib.h": ["modules"],
    "brotli/": ["modules"],
    "zstd.h": ["modules"],
}
# What the system has: POSIX and Linux. http/ is bytes and rules alone: no descriptor, no thread.
SYSTEM = re.compile(
    r"^(?:(?:sys|netinet|arpa|linux|net|asm|bits)/.*"
    r"|(?:aio|assert|ctype|dirent|dlfcn|endian|errno|fcntl|float|fnmatch|getopt|glob|grp|ifaddrs"
    r"|inttypes|limits|locale|malloc|math|netdb|poll|pthread|pwd|sched|signal|spawn|stdarg|stddef"
    r"|stdint|stdio|stdlib|string|strings|syslog|termios|time|ucontext|unistd|wordexp)\.h)$")
NOT_IN_HTTP = re.compile(
    r"^(?:thread|mutex|condition_variable|future|atomic"
    r"|sys/(?:socket|epoll|stat|mman|un|uio)\.h|(?:unistd|fcntl|poll|pthread|netdb)\.h)$")
# Headers that the build writes -> the layer that includes them.
GENERATED = {"genkan_abi_tag.h": "module"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def read_table(readme):
    """The table's rows: layer -> the layers it may include."""
    rows, inside = {}, False
    for line in readme.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if cells == ["layer", "may include"]:
            inside = True
        elif inside and not line.startswith("|"):
            break
        elif inside and len(cells) == 2 and not set(cells[0]) <= set("-: "):
            words = re.sub(r"\(.*?\)", "", cells[1])
            allowed = (list(rows) if words.strip() == "all above"
                       else [word.strip() for word in words.split(",")])
            # Two layers in one row stand beside each other; cli is what main puts together.
            for name in [name.strip() for name in cells[0].split(",")]:
                rows[name] = set(allowed)
                allowed = allowed + [name]
    return rows


def home_of(header):
    fits = [prefix for prefix in HOMES if header.startswith(prefix)]
    return HOMES[max(fits, key=len)] if fits else None


def is_in(path, homes):
    """Whether proxy/PATH or modules/… lies in one of the homes: a folder, a file, or a file's stem."""
    for home in homes:
        if path == home or path.startswith(home + "/") or path.startswith(home + "."):
            return True
    return False


def check_include(path, layer, table, kind, header):
    """The complaint about one include, or None. PATH is relative to proxy/, or begins with modules/."""
    if header.startswith("modules/"):
        return f'"{header}": nothing includes a module'
    if header.startswith("proxy/"):
        if layer == "modules":
            if header != "proxy/module/api.h":
                return f'modules include "proxy/module/api.h" alone, not "{header}"'
            return None
        parts = header.split("/")
        target = parts[1] if len(parts) > 2 else "main"
        if target not in table:
            return f'"{header}" is in no layer of the table'
        if target != layer and target not in table[layer]:
            return f'{layer} may not include "{header}" (it may: {", ".join(sorted(table[layer]))})'
        return None
    homes = home_of(header)
    if kind == '"' and homes is None:
        if GENERATED.get(header) == layer:
            return None
        return f'"{header}": write our own headers as "proxy/…"'
    if homes is not None:
        if not is_in(path, homes):
            return f'<{header}> belongs to {", ".join(homes)} alone'
        return None
    if layer == "http" and NOT_IN_HTTP.match(header):
        return f"<{header}>: http has no descriptor, no clock and no thread"
    if "." not in header or SYSTEM.match(header):
        return None
    return f"<{header}> is a library without a home: name it in tests/style/layers_test.py"


def check(root):
    """Every complaint about the tree, as file:line: text."""
    table = read_table(root / "proxy" / "README.md")
    if not table:
        return ['proxy/README.md: no table with the heading "| layer | may include |"']
    complaints = []
    for folder in ("proxy", "modules"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cc", ".in") or not file.is_file():
                continue
            if file.suffix == ".in" and not file.name.endswith((".cc.in", ".h.in")):
                continue
            inner = file.relative_to(root / folder)
            if folder == "modules":
                # The generated list of built-in modules is part of the SDK's side.
                layer, path = ("module" if file.suffix == ".in" else "modules"), f"modules/{inner}"
            else:
                layer, path = (inner.parts[0] if len(inner.parts) > 1 else "main"), str(inner)
            if layer != "modules" and layer not in table:
                complaints.append(f"{file.relative_to(root)}:1: no row for {layer} in proxy/README.md")
                continue
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                found = INCLUDE.match(line)
                if found is None:
                    continue
                complaint = check_include(path, layer, table, found[1], found[2])
                if complaint:
                    complaints.append(f"{file.relative_to(root)}:{number}: {complaint}")
    return complaints


SELF_TEST_TABLE = """# A house
| layer | may include |
|---|---|
| base | std, fmt |
| event | base |
| tls | base, event |
| http | base |
| module | base, http |
| config | base, module (because it reads) |
| server | base |
| control | all above |
| cli, main | all above |

| layer | may include |
| http | tls |
"""
# file, include, part of the complaint (None: allowed)
SELF_TEST_CASES = [
    ("proxy/event/good.cc", '"proxy/base/text.h"', None),
    ("proxy/event/own.cc", '"proxy/event/loop.h"', None),
    ("proxy/base/up.h", '"proxy/event/loop.h"', "base may not include"),
    ("proxy/http/sideways.h", '"proxy/tls/stream.h"', "http may not include"),
    ("proxy/config/reader.cc", '"proxy/module/api.h"', None),
    ("proxy/config/skips.cc", '"proxy/http/types.h"', "config may not include"),
    ("proxy/cli/up.cc", '"proxy/control/admin.h"', None),
    ("proxy/cli/nested/deep.cc", '"proxy/base/text.h"', None),
    ("proxy/main.cc", '"proxy/cli/commands.h"', None),
    ("proxy/cli/run.cc", '"CLI/CLI.hpp"', None),
    ("proxy/server/run.cc", '"CLI/CLI.hpp"', "belongs to"),
    ("proxy/main.h", "<CLI/CLI.hpp>", "<CLI/CLI.hpp> belongs to"),
    ("proxy/attic/old.cc", "<string>", "no row for attic"),
    ("proxy/base/lost.cc", '"proxy/attic/old.h"', "no layer"),
    ("proxy/tls/good.cc", "<openssl/ssl.h>", None),
    ("proxy/control/bad.cc", "<openssl/ssl.h>", "belongs to tls"),
    ("proxy/http/good.cc", "<nghttp2/nghttp2.h>", None),
    ("proxy/tls/h2.cc", "<nghttp2/nghttp2.h>", "belongs to http"),
    ("proxy/event/loop.cc", "<event2/event.h>", None),
    ("proxy/base/loop.cc", "<event2/event.h>", "belongs to event"),
    ("proxy/base/log.cc", "<spdlog/spdlog.h>", None),
    ("proxy/base/logic.cc", "<spdlog/spdlog.h>", "belongs to base/log"),
    ("proxy/base/result.h", "<tl/expected.hpp>", None),
    ("proxy/tls/result.h", "<tl/expected.hpp>", "belongs to base/result"),
    ("proxy/config/toml.cc", "<toml++/toml.h>", None),
    ("proxy/cli/toml.cc", "<toml++/toml.h>", "belongs to config"),
    ("proxy/control/fetch.cc", "<curl/curl.h>", None),
    ("proxy/tls/fetch.cc", "<curl/curl.h>", "belongs to control"),
    ("proxy/cli/json.cc", "<nlohmann/json.hpp>", None),
    ("proxy/tls/json.cc", "<nlohmann/json.hpp>", "belongs to control"),
    ("proxy/http/thread.h", "<thread>", "no thread"),
    ("proxy/http/socket.cc", "  <sys/socket.h>", "no descriptor"),
    ("proxy/event/socket.cc", "<sys/socket.h>", None),
    ("proxy/base/format.cc", "<fmt/format.h>", None),
    ("proxy/base/boost.cc", "<boost/asio.hpp>", "without a home"),
    ("proxy/base/quoted.cc", '"text.h"', "write our own headers"),
    ("proxy/module/api.h", '"genkan_abi_tag.h"', None),
    ("proxy/base/tag.h", '"genkan_abi_tag.h"', "write our own headers"),
    ("modules/good.cc", '"proxy/module/api.h"', None),
    ("modules/good2.cc", "<vector>", None),
    ("modules/deep.cc", '"proxy/http/headers.h"', "api.h"),
    ("modules/ssl.cc", "<openssl/ssl.h>", "belongs to tls"),
    ("modules/list.cc.in", '"proxy/module/registry.h"', None),
    ("proxy/module/back.cc", '"modules/good.h"', "nothing includes a module"),
]


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, include, _ in SELF_TEST_CASES:
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"// A line before.\n#include {include}\n", encoding="utf-8")
        readme = root / "proxy" / "README.md"
        readme.write_text("# A house\n", encoding="utf-8")
        failures = [] if "no table" in check(root)[0] else ["a missing table was not noticed"]
        readme.write_text(SELF_TEST_TABLE, encoding="utf-8")
        complaints = check(root)
    for name, include, expected in SELF_TEST_CASES:
        got = [text for text in complaints if text.startswith(name + ":")]
        if expected is None and got:
            failures.append(f"{name}: {include} should pass: {got}")
        if expected is not None and not (len(got) == 1 and expected in got[0]):
            failures.append(f"{name}: {include} should say {expected!r}: {got}")
    return failures


def main():
    arguments = sys.argv[1:]
    if arguments == ["--self-test"]:
        complaints = self_test()
    else:
        here = pathlib.Path(__file__).resolve().parents[2]
        complaints = check(pathlib.Path(arguments[0]) if arguments else here)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
