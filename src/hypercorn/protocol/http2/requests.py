"""The requests of a connection of HTTP/2 or HTTP/3, once their frames are understood."""

from __future__ import annotations

from typing import Any

from hypercorn.objects import same_text
from hypercorn.protocol.http2.life import HTTP2Life
from hypercorn.protocol.mux.budgets import CONTROLS, EMPTY, GLITCHES, USEFUL
from hypercorn.protocol.mux.connection import read_priority
from hypercorn.protocol.mux.stream import HTTP2Stream
from hypercorn.protocol.ports import Context, Transport
from hypercorn.wire.http2_head import HTTP2Head
from hypercorn.wire.http2_tables import CANCEL, PROTOCOL_ERROR

REASONS = {
    400: "malformed request target",
    404: "no such host here",
    405: "method not supported",
    413: "the request body is larger than this server accepts",
    417: "expectation not supported",
    421: "not served on this connection",
    431: "the header fields are too large",
    501: "protocol not supported",
}


class HTTP2Requests(HTTP2Life):
    """A connection without its frames."""

    __slots__ = ("priorities",)

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.priorities: dict[int, bytes] = {}  # of streams that are not open yet

    def new_stream(self, stream_id: int, window: int) -> HTTP2Stream:
        """A stream, of which the peer may send `window` octets."""
        raise NotImplementedError

    def withdraw(self, stream: HTTP2Stream) -> None:
        """If its application has not started, it will not."""
        raise NotImplementedError

    def open_stream(self, stream_id: int, head: HTTP2Head) -> HTTP2Stream:
        """The record of a new stream."""
        stream = self.new_stream(stream_id, self.context.limits.h2_stream_window)
        stream.remote_done = head.complete
        stream.bodyless = same_text(head.method, "HEAD")
        if not head.complete:
            stream.content_length = head.content_length
            stream.expect = head.expect_continue
            stream.wait_for_body()
        if self.priorities:
            update = self.priorities.pop(stream_id, None)
            if update is not None:
                head.priority = update
        if head.priority:
            # A client that knows of priorities means the default too: one after the other.
            stream.urgency, stream.incremental = read_priority(head.priority, stream.urgency, False)
        return stream

    def begin_call(self, stream: HTTP2Stream) -> None:
        """Starts the application of a stream. It had to wait for one event: a request that is taken back in the same
        breath costs no call."""
        if stream.over:
            return
        stream.calling = True
        exchange: Any = stream.stream
        call = exchange.begin()
        if stream.calling:
            stream.call = call

    def answer_early(self, stream_id: int, head: HTTP2Head, status: int, complete: bool, reason: str = "") -> None:
        """Answers a request that no application sees."""
        head.complete = complete
        stream = self.new_stream(stream_id, self.context.limits.h2_stream_window)
        stream.remote_done = complete
        stream.content_length = head.content_length
        stream.bodyless = same_text(head.method, "HEAD")
        reason = reason or REASONS.get(status, "refused")
        stream.answer(status, reason)
        self.answered = stream.answered
        self.context.refused(self, head, status, reason)
        self.spend(GLITCHES)

    def piece_received(self, stream: HTTP2Stream, data: bytes, end: bool) -> None:
        """A piece of a request's body, whose octets the windows let pass."""
        size = len(data)
        if not size and not end:
            self.spend(EMPTY)
            return
        if size >= USEFUL:
            self.allowance.refund(CONTROLS, 1)
        stream.expect = False
        stream.received += size
        announced = stream.content_length
        if announced >= 0 and (stream.received > announced or (end and stream.received < announced)):
            self.fault(stream, PROTOCOL_ERROR)
            return
        if stream.received > self.context.limits.max_body_size and not stream.connect:
            self.too_large(stream)
        elif end:
            self.request_complete(stream, data)
        elif stream.stream is not None:
            stream.stream.body_received(data, False)
            stream.wait_for_body()

    def request_complete(self, stream: HTTP2Stream, data: bytes) -> None:
        """The last piece of a request."""
        stream.remote_done = True
        if not stream.pending:
            stream.deadline = 0.0
        exchange = stream.stream
        if exchange is not None:
            exchange.body_received(data, True)

    def too_large(self, stream: HTTP2Stream) -> None:
        """The body is longer than the server accepts."""
        if stream.head_sent or stream.stream is None:
            self.fault(stream, CANCEL)
            return
        self.withdraw(stream)
        stream.give_up(413, REASONS[413])
