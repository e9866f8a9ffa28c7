"""Patterns and judgements of HTTP/1.1 in plain Python: what csrc/http1.c is to the compiled primitives.

Everything works on bytes: text patterns would take digits and letters of other scripts.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from hypercorn.wire import tables

__all__ = (
    "CHUNK",
    "CONTROL",
    "EXTENSIONS",
    "FIELD",
    "LARGEST",
    "NAME",
    "SIMPLE_REQUEST",
    "Target",
    "codings_in",
    "content_length",
    "elements",
    "judge_codings",
    "judge_partial_chunk_line",
    "same_authority",
    "split_authority",
    "target_of",
    "unquote",
)

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TEXT: Final = rb"[^\x00-\x08\x0a-\x1f\x7f]"

# RFC 9112 section 2.2: CRLF alone ends a line. HTAB may stand inside.
CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
NAME: Final = re.compile(_TOKEN + rb"+")
FIELD: Final = re.compile(rb"(" + _TOKEN + rb"+):(" + _TEXT + rb"*)\r\n")
# The usual request line, origin-form in HTTP/1.0 or 1.1: visible ASCII without "#".
SIMPLE_REQUEST: Final = re.compile(rb"(" + _TOKEN + rb'{1,32}) ((/[!"$->@-~]*)(?:\?([!"$-~]*))?) HTTP/1\.([01])\r\n')
_REQUEST: Final = re.compile(rb"([^ ]+) HTTP/([0-9])\.([0-9])")
_TARGET: Final = re.compile(rb'[!"$-~]*')
_ABSOLUTE: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?#]*)(.*)", re.DOTALL)
# unreserved, pct-encoded and sub-delims but the comma, which would let one field name two hosts; or IPv6; or nothing
_AUTHORITY: Final = re.compile(
    rb"((?:[0-9A-Za-z\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?"
)
_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{1,4}")
_OCTET: Final = re.compile(rb"0|[1-9][0-9]{0,2}")
_DIGITS: Final = re.compile(rb"[0-9]+")
_ESCAPE: Final = re.compile(rb"%([0-9A-Fa-f]{2})")

# RFC 9112 section 7.1: the line before a chunk, and its extensions.
CHUNK: Final = re.compile(rb"([0-9A-Fa-f]{1,16})([\t ;]" + _TEXT + rb"{0,255})?\r\n")
EXTENSIONS: Final = re.compile(
    rb"(?:[\t ]*;[\t ]*" + _TOKEN + rb"+(?:[\t ]*=[\t ]*(?:" + _TOKEN + rb'+|"(?:[^"\\]|\\.)*"))?)+',
    re.DOTALL,
)

LARGEST: Final = 2**63 - 1
MAX_EXTENSION_BYTES: Final = 256  # bytes of a chunk's line
_COMPRESSIONS: Final = frozenset((b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"))


class Target(NamedTuple):
    """A request target taken apart. `authority` and `https` are those of an absolute-form."""

    raw_path: bytes
    query_string: bytes
    authority: bytes | None
    https: bool


def elements(value: bytes) -> list[bytes]:
    """The elements of a comma-separated list, trimmed and lower-cased; empty ones too."""
    return [element.strip(b" \t").lower() for element in value.split(b",")]


def unquote(raw: bytes) -> str:
    """Decodes %XX once. Malformed escapes stay, malformed UTF-8 becomes U+FFFD."""
    if b"%" not in raw:
        return raw.decode("ascii")
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw).decode("utf-8", "replace")


def target_of(method: bytes, rest: bytes) -> tuple[bytes, int, Target | int]:
    """Judges what follows the method in a request line: raw target, minor version, target or error code."""
    match = _REQUEST.fullmatch(rest)
    if match is None:
        target, space, _ = rest.partition(b" ")
        return (target if space else b""), 1, tables.E_REQUEST_LINE
    target, minor = match[1], 0 if match[3] == b"0" else 1  # a later minor version is read as 1.1 (RFC 9110 2.5)
    if match[2] != b"1":
        return target, minor, tables.E_VERSION
    if method == b"CONNECT":
        named = split_authority(target)
        fits = named is not None and named[1] is not None
        return target, minor, tables.E_CONNECT if fits else tables.E_TARGET
    if target == b"*" and method == b"OPTIONS":
        return target, minor, Target(target, b"", None, False)
    if target[:1] == b"/":
        path, _, query = target.partition(b"?")
        return (
            target,
            minor,
            Target(path, query, None, False) if _TARGET.fullmatch(target) else tables.E_TARGET,
        )
    return target, minor, _absolute_form(target)


def _absolute_form(target: bytes) -> Target | int:
    """RFC 9112 section 3.2.2."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return tables.E_TARGET
    scheme, authority, rest = match[1].lower(), match[2], match[3]
    if scheme not in (b"http", b"https"):
        return tables.E_SCHEME
    if not authority or split_authority(authority) is None or not _TARGET.fullmatch(rest):
        return tables.E_TARGET
    path, _, query = rest.partition(b"?")
    return Target(path or b"/", query, authority, scheme == b"https")


def _valid_v4(text: bytes) -> bool:
    octets = text.split(b".")
    return len(octets) == 4 and all(_OCTET.fullmatch(octet) and int(octet) < 256 for octet in octets)


def _valid_v6(text: bytes) -> bool:
    """RFC 3986 section 3.2.2, the text between the brackets."""
    head, gap, tail = text.partition(b"::")
    groups = (head.split(b":") if head else []) + (tail.split(b":") if tail else [])
    count = len(groups)
    if groups and b"." in groups[-1] and (tail or not gap):
        if not _valid_v4(groups.pop()):
            return False
        count += 1
    return all(map(_GROUP.fullmatch, groups)) and (count <= 7 if gap else count == 8)


def split_authority(text: bytes) -> tuple[bytes, int | None] | None:
    """Host and port (None: not given) of `uri-host [":" port]`; None where malformed. Empty is fine."""
    match = _AUTHORITY.fullmatch(text)
    if match is None or (match[2] is not None and not _valid_v6(match[2])):
        return None
    port = int(match[3]) if match[3] else None
    if (match[3] is not None and not match[1]) or (port is not None and port > 65535):
        return None
    return match[1], port


def same_authority(first: bytes, second: bytes, https: bool) -> bool:
    """Whether both name the same host and port; a missing port is that of the scheme."""
    one, two = split_authority(first), split_authority(second)
    if one is None or two is None:
        return False
    default = 443 if https else 80
    ports = [default if port is None else port for _, port in (one, two)]
    return one[0].lower() == two[0].lower() and ports[0] == ports[1]


def content_length(value: bytes) -> int:
    """The length in bytes that a request announces (RFC 9112 section 6.3), or minus an index into `tables.ERRORS`."""
    if not _DIGITS.fullmatch(value):
        return -tables.E_LENGTH
    digits = value.lstrip(b"0") or b"0"  # int() itself refuses some thousand digits
    length = int(digits) if len(digits) <= 19 else LARGEST + 1
    if length > LARGEST:
        return -tables.E_LENGTH_LARGE
    if len(value) > 19:
        return -tables.E_LENGTH_DIGITS
    return length


def codings_in(value: bytes) -> list[bytes]:
    """The codings of a Transfer-Encoding line; empty elements are ignored (RFC 9110 section 5.6.1.2). A line without a
    coding gives an empty one, which `judge_codings` refuses: other faults of the message may come first."""
    return [coding for coding in elements(value) if coding] or [b""]


def judge_codings(codings: list[bytes]) -> int:
    """0 for `chunked` alone, else an index into `tables.ERRORS`: 400 for what is malformed or not chunked last, else
    501."""
    if not all(map(NAME.fullmatch, codings)) or b"chunked" in codings[:-1] or codings[-1] in _COMPRESSIONS:
        return tables.E_CODING
    return 0 if codings == [b"chunked"] else tables.E_CODING_UNKNOWN


def judge_partial_chunk_line(line: bytes) -> int:
    """Judges a line that is incomplete or wrong, byte by byte, as the bytes came: 0 or an index into
    `tables.ERRORS`."""
    digits = len(line) - len(line.lstrip(b"0123456789abcdefABCDEF"))
    for count in range(16, min(digits, 17) + 1):
        if int(line[:count], 16) > LARGEST:
            return tables.E_CHUNK_LARGE
    if digits > 16 or (line and not digits):
        return tables.E_CHUNK
    rest = line[digits:]
    if rest[:1] not in (b"", b"\r", b";", b" ", b"\t"):
        return tables.E_CHUNK
    match = CONTROL.search(rest)
    if (match.start() if match else len(rest)) > MAX_EXTENSION_BYTES:
        return tables.E_CHUNK_EXT_LONG
    if match and rest[match.start() :] != b"\r":
        return tables.E_CHUNK
    return 0
