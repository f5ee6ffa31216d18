"""Hostile spellings of paths: one table for every place that judges paths (the challenge guard, url_filter).

spellings("/wp-admin/secret.txt")       ways of writing that path which some server reads as that path
traversals("/open/", "/secret.txt")     ways out of a folder that is open, to a file that is not
requests_for("/a/TOKEN")                that path with other methods, bodies, queries and forms of the target

Each is a list of Hostile with unique names; Hostile.request(host) is what goes on the wire, byte by byte.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Hostile:
    name: str            # for messages and for choosing; unique within its list
    target: bytes        # as in the request line
    method: bytes = b"GET"
    fields: bytes = b""  # further lines of the head, each with its CRLF
    body: bytes = b""

    def request(self, host, *, close=False):
        """The whole request; close: the server is told that no other follows."""
        end = b"Connection: close\r\n" if close else b""
        return (self.method + b" " + self.target + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n" +
                end + self.fields + b"\r\n" + self.body)


def escape(text, digits="%02x"):
    """Every byte of text as a percent escape."""
    return b"".join(b"%" + (digits % byte).encode() for byte in _bytes(text))


def _bytes(text):
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


# One byte of ASCII in the ways that decoders were caught with: as too many bytes of UTF-8 (CVE-2000-0884,
# CVE-2008-2938), as IIS spells code units, as full-width letters that "best fit" mappings fold.
def _overlong2(byte):
    return bytes((0xC0 | byte >> 6, 0x80 | byte & 0x3F))


def _overlong3(byte):
    return bytes((0xE0, 0x80 | byte >> 6, 0x80 | byte & 0x3F))


def _overlong4(byte):
    return bytes((0xF0, 0x80, 0x80 | byte >> 6, 0x80 | byte & 0x3F))


def _full_width(byte):
    return chr(byte - 0x21 + 0xFF01).encode()


def _disguises(text):
    """(name, bytes): one byte of ASCII, disguised."""
    byte = ord(text)
    once = escape(text)
    return [
        ("escaped", once),
        ("escaped in capitals", escape(text, "%02X")),
        ("escaped twice", b"%25" + once[1:]),
        ("escaped twice, all of it", escape("%") + escape(once[1:])),
        ("escaped three times", b"%2525" + once[1:]),
        ("escaped digits", b"%" + escape(once[1:2]) + escape(once[2:3])),
        ("overlong in 2 bytes", escape(_overlong2(byte))),
        ("overlong in 3 bytes", escape(_overlong3(byte))),
        ("overlong in 4 bytes", escape(_overlong4(byte))),
        ("overlong, raw", _overlong2(byte)),
        ("overlong, escaped twice", escape(_overlong2(byte)).replace(b"%", b"%25")),
        ("%u", b"%%u%04x" % byte),
        ("full width", escape(_full_width(byte))),
        ("full width, raw", _full_width(byte)),
    ]


def _unique(table):
    names = [one.name for one in table]
    assert len(set(names)) == len(names), sorted(name for name in names if names.count(name) > 1)
    return table


def spellings(path):
    """Other ways of writing `path` ("/folder/…/file", at least one folder). The path as it stands is not among them."""
    path = _bytes(path)
    assert path.startswith(b"/") and path.count(b"/") >= 2 and not path.endswith(b"/"), path
    first, rest = path[1:].split(b"/", 1)       # /first/rest
    folder, leaf = path.rsplit(b"/", 1)         # folder/leaf
    middle = leaf[len(leaf) // 2:len(leaf) // 2 + 1]
    before, after = leaf[:len(leaf) // 2], leaf[len(leaf) // 2 + 1:]
    table = []

    def add(name, target):
        table.append(Hostile(name, target))

    # A letter of the first folder, a letter of the file, a slash.
    for name, byte in _disguises(chr(first[0])):
        add(f"first letter {name}", b"/" + byte + first[1:] + b"/" + rest)
    for name, byte in _disguises(chr(middle[0])):
        add(f"letter of the file {name}", folder + b"/" + before + byte + after)
    for name, byte in _disguises("/"):
        add(f"slash {name}", b"/" + first + byte + rest)
        add(f"slash before the file {name}", folder + byte + leaf)
    for name, byte in _disguises("."):
        add(f"dot segment {name}", b"/" + byte + path)
        add(f"dot segments {name}", b"/x/" + byte + byte + path)
        add(f"dot segments within {name}", folder + b"/x/" + byte + byte + b"/" + leaf)
    add("all escaped", b"/" + b"/".join(map(escape, path[1:].split(b"/"))))
    add("all escaped, slashes too", b"/" + escape(path[1:]))
    add("all escaped twice", b"/" + escape(path[1:]).replace(b"%", b"%25"))

    # Slashes and dots as they are.
    add("two slashes at the front", b"/" + path)
    add("three slashes at the front", b"//" + path)
    add("two slashes within", b"/" + first + b"//" + rest)
    add("two slashes before the file", folder + b"//" + leaf)
    add("many slashes", b"/" * 64 + first + b"/" * 64 + rest)
    add("a dot segment", b"/." + path)
    add("a dot segment within", b"/" + first + b"/./" + rest)
    add("a dot segment before the file", folder + b"/./" + leaf)
    add("up from another folder", b"/x/.." + path)
    add("up from two others", b"/x/y/../.." + path)
    add("up beyond the root", b"/../../.." + path)
    add("up and down within", b"/" + first + b"/../" + first + b"/" + rest)
    add("up and down before the file", folder + b"/x/../" + leaf)
    add("dots and slashes", b"//.//./" + first + b"/.//" + rest)
    add("up over an empty segment", b"/x//../.." + path)
    add("up over an escaped empty segment", b"/x/%2f/../.." + path)
    add("three dots", b"/x/..." + path)
    add("a slash at the end", path + b"/")
    add("a dot segment at the end", path + b"/.")
    add("down and up at the end", path + b"/x/..")
    add("an escaped slash at the end", path + b"%2f")

    # Backslashes.
    add("backslashes", path.replace(b"/", b"\\"))
    add("a slash, then backslashes", b"/" + path[1:].replace(b"/", b"\\"))
    add("a backslash before the file", folder + b"\\" + leaf)
    add("an escaped backslash before the file", folder + b"%5c" + leaf)
    add("an escaped backslash within", b"/" + first + b"%5C" + rest)
    add("up by backslash", b"/x\\.." + path)
    add("up by escaped backslash", b"/x%5c.." + path)
    add("up by backslash escaped twice", b"/x%255c.." + path)
    add("a backslash at the front", b"/\\" + path[1:])
    add("a backslash at the end", path + b"\\")

    # Parameters.
    add("a parameter at the end", path + b";")
    add("a parameter with a value", path + b";a=b")
    add("a parameter of the folder", b"/" + first + b";a=b/" + rest)
    add("a parameter that is a way up", b"/x/..;" + path)
    add("a parameter that is a way up, named", b"/x/..;a=b" + path)
    add("a parameter at the front", b"/;" + path)
    add("an escaped parameter", path + b"%3b")
    add("an escaped parameter of the folder", b"/" + first + b"%3Ba=b/" + rest)
    add("a session id", path + b";jsessionid=0123456789ABCDEF")

    # Ends that some systems cut off.
    add("an escaped NUL at the end", path + b"%00")
    add("an escaped NUL and an ending", path + b"%00.html")
    add("a NUL escaped twice", path + b"%2500")
    add("an overlong NUL", path + b"%c0%80")
    add("an escaped newline at the end", path + b"%0a")
    add("an escaped carriage return at the end", path + b"%0d%0a")
    add("an escaped tab at the end", path + b"%09")
    add("an escaped blank at the end", path + b"%20")
    add("a plus at the end", path + b"+")
    add("a dot at the end", path + b".")
    add("an escaped dot at the end", path + b"%2e")
    add("dots at the end", path + b"...")
    add("a dot at the folder's end", b"/" + first + b"./" + rest)
    add("an escaped blank at the folder's end", b"/" + first + b"%20/" + rest)
    add("an alternate data stream", path + b"::$DATA")
    add("a fragment's sign", path + b"#x")
    add("an escaped fragment's sign", path + b"%23x")
    add("an escaped question mark", path + b"%3fx=1")
    add("a question mark escaped twice", path + b"%253fx=1")
    add("a raw NUL", path + b"\x00")
    add("a raw tab", path + b"\t")
    add("a raw DEL", path + b"\x7f")
    add("a raw byte over 127", path + b"\xff")

    # Letters.
    add("capitals", path.upper())
    add("capitals of the folder", b"/" + first.swapcase() + b"/" + rest)
    add("capitals of the file", folder + b"/" + leaf.swapcase())
    add("a soft hyphen", b"/" + first[:1] + b"%c2%ad" + first[1:] + b"/" + rest)
    add("a zero-width blank", b"/" + first[:1] + b"%e2%80%8b" + first[1:] + b"/" + rest)
    add("a combining mark", path + b"%cc%81")
    add("a byte order mark", b"/%ef%bb%bf" + path[1:])

    # Escapes that are none.
    add("an escape cut short", path + b"%")
    add("half an escape", path + b"%2")
    add("an escape of no digits", path + b"%zz")
    add("an escape with a sign", folder + b"/%+2e%-2e/" + leaf)

    # Forms of the target.
    add("no slash at the front", path[1:])
    add("an absolute target", b"http://a.test" + path)
    add("an absolute target with two slashes", b"http://a.test/" + path)
    add("an absolute target, its path escaped", b"http://a.test/" + escape(path[1:]))
    add("an absolute target without a host", b"http://" + path)
    add("an absolute target with a user", b"http://x@a.test" + path)
    add("another scheme", b"ftp://a.test" + path)
    add("a file's address", b"file://" + path)
    different = {one.target: one for one in reversed(table) if one.target != path}
    return _unique(list(reversed(different.values())))


def traversals(prefix, path):
    """Ways from below `prefix` ("/open/") to `path` ("/secret.txt"), which is not below it."""
    prefix, path = _bytes(prefix), _bytes(path)
    assert prefix.startswith(b"/") and prefix.endswith(b"/") and not path.startswith(prefix), (prefix, path)
    ups = prefix.count(b"/") - 1
    table = []

    def add(name, target):
        table.append(Hostile(name, target))

    steps = [("", b"../"), (" and a dot segment", b".././"), (" and two slashes", b"..//"), (" by backslash", b"..\\"),
             (" with a parameter", b"..;/"), (" with an escaped parameter", b"..%3b/"),
             (" with an escaped NUL", b"..%00/"), (" with an escaped blank", b"..%20/"), (" by dots", b".../"),
             (" by doubled dots", b"....//"), (" by slash and dots", b"..././")]
    steps += [(f", its slash {name}", b".." + byte) for name, byte in _disguises("/")]
    steps += [(f", its dots {name}", byte + byte + b"/") for name, byte in _disguises(".")]
    steps += [(f", its second dot {name}", b"." + byte + b"/") for name, byte in _disguises(".")]
    steps += [(f", all of it {name}", dot + dot + slash)
              for (name, dot), (_, slash) in zip(_disguises("."), _disguises("/"))]
    steps += [(f" by backslash {name}", b".." + byte) for name, byte in _disguises("\\")]
    for name, step in steps:
        add(f"up{name}", prefix + step * ups + path[1:])
    add("up beyond the root", prefix + b"../" * (ups + 16) + path[1:])
    add("up from a file", prefix + b"x/" + b"../" * (ups + 1) + path[1:])
    add("up from a token", prefix + b"tOkEn-_123/" + b"../" * (ups + 1) + path[1:])
    add("the path below", prefix[:-1] + path)
    add("an absolute path below", prefix + path)
    add("an escaped absolute path below", prefix + escape(path))
    add("an absolute target below", prefix + b"http://a.test" + path)
    add("a file's address below", prefix + b"file://" + path)
    return _unique(table)


def requests_for(path):
    """`path` as it stands, asked for in ways that no honest client of a challenge has."""
    path = _bytes(path)
    json = b"Content-Type: application/json\r\n"
    table = [Hostile(f"method {method.decode()}", path, method) for method in (
        b"OPTIONS", b"DELETE", b"TRACE", b"CONNECT", b"PROPFIND", b"MOVE", b"COPY", b"MKCOL", b"PURGE", b"get", b"Get",
        b"GETT", b"X")]
    table += [Hostile(f"method {method.decode()} with a body", path, method, b"Content-Length: 2\r\n" + json, b"{}")
              for method in (b"POST", b"PUT", b"PATCH", b"QUERY", b"GET", b"HEAD", b"DELETE")]
    table += [
        Hostile("method POST without a body", path, b"POST", b"Content-Length: 0\r\n"),
        Hostile("a chunked body", path, b"GET", b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
        Hostile("a chunked body of nothing", path, b"GET", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        Hostile("a body that another request hides in", path, b"GET",
                b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
        Hostile("a query", path + b"?"),
        Hostile("a query with a value", path + b"?a=b"),
        Hostile("a query with a path", path + b"?/../../secret.txt"),
        Hostile("a websocket", path, b"GET", b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"),
        Hostile("an upgrade to h2c", path, b"GET", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
        Hostile("another path in a header", path + b"/", b"GET", b"X-Original-URL: /secret.txt\r\n"
                b"X-Rewrite-URL: /secret.txt\r\n"),
        Hostile("another method in a header", path, b"POST", b"X-HTTP-Method-Override: GET\r\nContent-Length: 0\r\n"),
    ]
    return _unique(table)


def tokens_that_are_none(prefix):
    """Below `prefix` ("/.well-known/acme-challenge/"): single segments that are no token (RFC 8555 8.3)."""
    prefix = _bytes(prefix)
    return _unique([
        Hostile("nothing", prefix), Hostile("no slash either", prefix[:-1]),
        Hostile("129 letters", prefix + b"a" * 129), Hostile("4 KiB", prefix + b"a" * 4096),
        Hostile("one line of 7 KiB", prefix + b"a" * 7168), Hostile("4 KiB of dots", prefix + b"." * 4096),
        Hostile("4 KiB of ways up", prefix + b"../" * 1365), Hostile("4 KiB of escapes", prefix + b"%2e" * 1365),
        Hostile("two letters, one escaped", prefix + b"a%62"), Hostile("a dot", prefix + b"a.b"),
        Hostile("a file's ending", prefix + b"token.html"), Hostile("a hidden file", prefix + b".htaccess"),
        Hostile("a plus", prefix + b"a+b"), Hostile("an equals sign", prefix + b"YQ=="),
        Hostile("a tilde", prefix + b"~root"), Hostile("a colon", prefix + b"a:b"),
        Hostile("a star", prefix + b"*"), Hostile("a star escaped", prefix + b"%2a"),
        Hostile("a blank escaped", prefix + b"a%20b"), Hostile("a dollar sign", prefix + b"$HOME"),
        Hostile("a bar", prefix + b"|id"), Hostile("quotes", prefix + b"'or'1'='1"),
        Hostile("angle brackets", prefix + b"%3cscript%3e"), Hostile("UTF-8", prefix + b"%e3%83%88"),
        Hostile("UTF-8, raw", prefix + b"\xe3\x83\x88"), Hostile("a token and a folder", prefix + b"token/x"),
        Hostile("a token's folder", prefix + b"token/"), Hostile("a device", prefix + b"/dev/zero"),
        Hostile("this process", prefix + b"/proc/self/environ"), Hostile("braces", prefix + b"{a,b}"),
    ])
