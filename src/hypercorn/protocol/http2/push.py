"""Server push (RFC 9113 section 8.4): a request that the server makes in the client's place, and its exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote

from hypercorn.protocol.mux.budgets import LARGEST_ID
from hypercorn.protocol.mux.stream import HTTP2Stream
from hypercorn.wire.hpack import Field
from hypercorn.wire.http2_head import HTTP2Head, judge_request
from hypercorn.wire.http2_tables import GOOD
from hypercorn.wire.http2_writer import FieldLine

if TYPE_CHECKING:
    from hypercorn.protocol.http2.connection import HTTP2Connection

IN_PATHS = "/?:@!$&'()*+,;=%~-._"  # what stays as it is, an escape that is there already included


def promise(
    connection: HTTP2Connection,
    parent: HTTP2Stream,
    authority: bytes,
    path: str,
    headers: Iterable[tuple[bytes, bytes]],
) -> None:
    """Announces a request for `path` on the parent's stream and serves it on one of its own. Where the client takes
    no more pushes, or none now, this does nothing.

    Raises TypeError or ValueError for a request that could not have come from a client.
    """
    pseudo = [
        (b":method", b"GET"),
        (b":scheme", connection.transport.scheme.encode()),
        (b":authority", authority),
        (b":path", quote(path, safe=IN_PATHS).encode()),
    ]
    lines = connection.fields.check(headers, True)
    regular = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    head = HTTP2Head()
    if judge_request([Field(*pair) for pair in (*pseudo, *regular)], head) != GOOD or head.content_length > 0:
        raise ValueError(f"not a request that can be promised: {path!r}")
    head.complete = True
    promised = connection.next_push
    limit = min(connection.max_pushes, connection.context.limits.h2_max_concurrent_streams)
    if not connection.allow_push or parent.over or parent.local_done or not parent.id & 1:
        return
    if connection.draining or connection.peer_leaving or connection.pushes >= limit or promised >= LARGEST_ID:
        return
    connection.next_push += 2
    connection.pushes += 1
    connection.writer.push_promise(parent.id, promised, [*(FieldLine(*pair) for pair in pseudo), *lines])
    connection.written()
    stream = connection.new_stream(promised, 0)
    stream.remote_done = True
    stream.stream = connection.context.open_http(stream, head)
    connection.transport.later(lambda: connection.begin_call(stream))
