"""The field list of an HTTP/2 request, judged (RFC 9113 section 8, RFC 8441). Written once.

What was judged of a field is kept on it: those of the tables come again with the next request.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hypercorn.objects import same_text
from hypercorn.wire.grammar import NAME, content_length, same_authority, split_authority, unquote
from hypercorn.wire.head import RequestHead
from hypercorn.wire.hpack import Field
from hypercorn.wire.http2_tables import (
    AUTHORITY,
    BAD_PSEUDO,
    COOKIE,
    EXPECT,
    FORBIDDEN,
    GOOD,
    HOST,
    LENGTH,
    MALFORMED,
    METHOD,
    PATH,
    PRIORITY,
    PROTOCOL,
    REGULAR,
    SCHEME,
    TE,
)
from hypercorn.wire.tables import DROPPED_TRAILERS, FORBIDDEN_TRAILERS

_TARGET: Final = re.compile(rb'(/[!"$->@-~]*)(?:\?([!"$-~]*))?')
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*")
USUAL = 1 << METHOD | 1 << SCHEME | 1 << AUTHORITY | 1 << PATH
_SECURE: Final = frozenset((b"https", b"wss"))


class HTTP2Head(RequestHead):
    """The head of an HTTP/2 request.

    scheme: in lower case; protocol: of an extended CONNECT (RFC 8441), else empty
    priority: the Priority field (RFC 9218), else empty; takes_trailers: the client said `te: trailers`
    """

    __slots__ = ("cookie_at", "crumbs", "host_field", "priority", "protocol", "scheme", "takes_trailers")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Sets all up. In place of the base class's `__init__`, as this runs for every request."""
        self.method = self.path = ""
        self.http_version = "2"
        self.raw_target = self.raw_path = self.query_string = self.upgrade = self.host = b""
        self.content_length = -1
        self.chunked = self.complete = self.expect_continue = False
        self.may_push = self.takes_trailers = False
        self.protocol = b""
        self.priority = b""
        self.scheme = b""
        # while it is judged
        self.host_field: bytes | None = None
        self.cookie_at = -1
        self.crumbs: list[bytes] | None = None


def judge_request(fields: list[Field], head: HTTP2Head) -> int:
    """Fills the head from a field list. Returns GOOD, MALFORMED, or the status of an answer."""
    headers: list[tuple[bytes, bytes]] = []
    head.headers = headers
    seen = 0  # bits of the pseudo fields, by their kind
    regular = False
    verdict = GOOD
    for field in fields:
        if field.flawed:
            return MALFORMED
        kind = field.kind
        if kind == REGULAR:
            regular = True
            headers.append(field.pair)
        elif kind <= BAD_PSEUDO:
            if regular or seen & 1 << kind or not take_pseudo(head, kind, field):
                return MALFORMED
            seen |= 1 << kind
        elif kind == COOKIE:
            regular = True
            take_cookie(head, field)
        else:
            regular = True
            verdict = take_regular(head, kind, field, verdict)
            if verdict == MALFORMED:
                return MALFORMED
    if head.crumbs is not None:
        headers[head.cookie_at] = (b"cookie", b"; ".join(head.crumbs))
    if head.host_field is not None and not take_host(head, seen & 1 << AUTHORITY):
        return MALFORMED
    if seen != USUAL or verdict or same_text(head.method, "CONNECT"):
        return judge_whole(head, seen, verdict)
    return judge_target(head, seen)


def take_pseudo(head: HTTP2Head, kind: int, field: Field) -> bool:
    """A pseudo field (RFC 9113 section 8.3). False where it is malformed."""
    memo = field.memo
    if memo is None:
        memo = field.memo = judge_pseudo(kind, field.pair[1])
    if kind == METHOD:
        head.method = memo
    elif kind == PATH:
        take_target(head, memo)
    elif kind == AUTHORITY:
        if memo is False:
            return False
        head.host = field.pair[1]
        head.headers.append(memo)
    elif kind == SCHEME:
        head.scheme = memo
    elif kind == PROTOCOL:
        head.protocol = field.pair[1]
    else:
        return False
    return bool(memo)


def take_cookie(head: HTTP2Head, field: Field) -> None:
    """Crumbs of a cookie are put together (RFC 9113 section 8.2.3)."""
    if head.cookie_at < 0:
        head.cookie_at = len(head.headers)
        head.headers.append(field.pair)
        return
    if head.crumbs is None:
        head.crumbs = [head.headers[head.cookie_at][1]]
    head.crumbs.append(field.pair[1])


def judge_target(head: HTTP2Head, seen: int) -> int:
    """The parts of the target that are there but cannot be served.

    A request may come without :authority and Host (RFC 9113 section 8.3.1), as one of HTTP/1.0 does: health checks of
    proxies do. An empty name is refused.
    """
    if not head.raw_path:
        return 400 if head.raw_target else MALFORMED
    if head.raw_path == b"*" and head.method != "OPTIONS":
        return 400
    if not head.host and (seen & 1 << AUTHORITY or head.host_field is not None):
        return 400
    if head.scheme != b"http" and head.scheme != b"https":
        return 421
    if same_text(head.method, "TRACE") and head.content_length > 0:
        return 405
    return GOOD


def judge_whole(head: HTTP2Head, seen: int, verdict: int) -> int:
    """Which pseudo fields a request must have (RFC 9113 sections 8.3.1 and 8.5, RFC 8441 section 4)."""
    has_path = seen & 1 << PATH
    if not seen & 1 << METHOD:
        return MALFORMED
    if same_text(head.method, "CONNECT"):
        if not seen & 1 << AUTHORITY:
            return MALFORMED
        if not seen & 1 << PROTOCOL:
            return MALFORMED if head.scheme or has_path else 405
    elif seen & 1 << PROTOCOL:
        return MALFORMED
    if not head.scheme or not has_path:
        return MALFORMED
    return verdict or judge_target(head, seen)


def judge_pseudo(kind: int, value: bytes) -> Any:
    """The parsed value of a pseudo-header field: the method as text, or ""; the target's parts; the host field, or
    False where it is malformed; the scheme in lower case, or b""."""
    if kind == METHOD:
        return value.decode("ascii") if len(value) <= 32 and NAME.fullmatch(value) else ""
    if kind == PATH:
        if value == b"*":
            return value, value, b"", "*"
        match = _TARGET.fullmatch(value)
        if match is None:
            return value, b"", b"", ""
        path, query = match[1], match[2]
        return value, path, query or b"", unquote(path)
    if kind == AUTHORITY:
        return (b"host", value) if split_authority(value) is not None else False
    if kind == SCHEME:
        return value.lower() if _SCHEME.fullmatch(value) else b""
    return value


def take_target(head: HTTP2Head, memo: tuple[bytes, bytes, bytes, str]) -> None:
    head.raw_target, head.raw_path, head.query_string, head.path = memo


def take_host(head: HTTP2Head, has_authority: int) -> bool:
    """A Host field: the host where there is no :authority, else it has to say the same."""
    host = head.host_field
    assert host is not None
    if has_authority:
        return same_authority(head.host, host, head.scheme in _SECURE)
    if split_authority(host) is None:
        return False
    head.host = host
    head.headers.insert(0, (b"host", host))
    return True


def take_regular(head: HTTP2Head, kind: int, field: Field, verdict: int) -> int:
    """A field that decides something. Returns the verdict so far."""
    value = field.pair[1]
    if kind == FORBIDDEN:
        return MALFORMED
    if kind == HOST:
        if head.host_field is not None:
            return MALFORMED
        head.host_field = value
        return verdict
    if kind == LENGTH:
        if head.content_length >= 0:
            return MALFORMED
        head.content_length = content_length(value)
        if head.content_length < 0:
            return MALFORMED
    elif kind == TE:
        if value.lower() != b"trailers":
            return MALFORMED
        head.takes_trailers = True
    elif kind == EXPECT:
        if value.lower() == b"100-continue":
            head.expect_continue = True
        elif value:
            verdict = 417
    elif kind == PRIORITY:
        head.priority = value
    head.headers.append(field.pair)
    return verdict


def judge_trailers(fields: list[Field]) -> list[tuple[bytes, bytes]] | None:
    """The trailer fields of a request, or None where they are malformed (RFC 9113 section 8.1, RFC 9110 6.5.1)."""
    trailers = []
    for field in fields:
        name = field.pair[0]
        if field.flawed or name[:1] == b":" or field.kind == FORBIDDEN:
            return None
        if name in FORBIDDEN_TRAILERS or name[:6] == b"proxy-":
            return None
        if name not in DROPPED_TRAILERS:
            trailers.append(field.pair)
    return trailers
