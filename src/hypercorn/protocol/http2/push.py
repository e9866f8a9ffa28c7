"""Server push (RFC 9113 section 8.4): a request that the server makes in the client's place."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

from hypercorn.protocol.mux.budgets import LARGEST_ID
from hypercorn.wire.hpack import Field
from hypercorn.wire.http2_head import HTTP2Head, judge_request
from hypercorn.wire.http2_tables import GOOD
from hypercorn.wire.http2_writer import FieldLine, FieldLines

IN_PATHS = "/?:@!$&'()*+,;=%~-._"  # what stays as it is, an escape that is there already included


class Pushes:
    """The pushed streams of one connection, as far as they are counted."""

    __slots__ = ("allowed", "limit", "next_id", "open")

    def __init__(self) -> None:
        self.allowed = True  # the peer takes pushed responses
        self.limit = LARGEST_ID  # ... at the same time
        self.open = 0
        self.next_id = 2


def promised_request(
    fields: FieldLines, scheme: str, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]
) -> tuple[HTTP2Head, list[FieldLine]]:
    """A request for `path` as the application sees it, and its field lines.

    Raises TypeError or ValueError for a request that could not have come from a client.
    """
    pseudo = [
        (b":method", b"GET"),
        (b":scheme", scheme.encode()),
        (b":authority", authority),
        (b":path", quote(path, safe=IN_PATHS).encode()),
    ]
    lines = fields.check(headers, True)
    regular = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    head = HTTP2Head()
    if judge_request([Field(*pair) for pair in (*pseudo, *regular)], head) != GOOD or head.content_length > 0:
        raise ValueError(f"not a request that can be promised: {path!r}")
    head.complete = True
    return head, [*(FieldLine(*pair) for pair in pseudo), *lines]
