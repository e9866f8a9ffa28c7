"""The response half of an HTTP/1 connection: how a response looks on the wire (RFC 9112 sections 4, 6 and 7).

`http1.py` builds the connection on it: this half says when a response has ended, and asks for what ends a connection.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.objects import same_text
from hypercorn.protocol.http1.upgrade import UPGRADE_REQUIRED
from hypercorn.protocol.ports import Connection, Context, Stream, Transport
from hypercorn.wire.http1 import STATUS_LINES, RequestParser, encode_chunk, encode_last_chunk, encode_response

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n"
CRLF = b"\r\n"
CLOSE = b"connection: close\r\n\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
RETRY = b"retry-after: 1\r\nconnection: close\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


class ResponseWriter(Connection):
    """What an HTTP/1 connection knows of the current exchange, and the writing of its response."""

    __slots__ = (
        "app_close",
        "bodyless",
        "chunked",
        "expect",
        "fields",
        "has_date",
        "has_server",
        "head_sent",
        "http10",
        "keep_alive",
        "length",
        "parser",
        "request_done",
        "status",
        "stream",
        "trailer_fields",
        "unsent",
        "with_trailers",
        "writing_paused",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.parser = RequestParser(
            context.limits.max_request_line_size,
            context.limits.max_header_size,
            context.limits.max_header_count,
            keep_case=context.keep_case,
            memory=context.heads,
        )
        self.stream: Stream | None = None
        self.writing_paused = False
        self.unsent = 0
        # of the request, what its response depends on
        self.request_done = True
        self.expect = False
        self.http10 = False
        self.keep_alive = True
        # the response
        self.bodyless = False
        self.head_sent = False
        self.status = 0
        self.fields = b""
        self.length = -1
        self.chunked = False
        self.app_close = False
        self.has_date = False
        self.has_server = False
        self.with_trailers = False
        self.trailer_fields = b""

    # -- what the connection does about it

    def response_ended(self) -> None:
        """The response was sent whole."""
        raise NotImplementedError

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        raise NotImplementedError

    def cut(self) -> None:
        """Ends so that the peer cannot take what it has for whole."""
        raise NotImplementedError

    def linger(self) -> None:
        """Half-closes and drops what the peer still sends."""
        raise NotImplementedError

    # -- writing

    def answer(self, status: int, reason: str) -> None:
        """Writes a whole response of the server's own, which announces the end of the connection."""
        body = b"" if same_text(self.parser.method, "HEAD") else reason.encode("ascii", "replace") + b"\n"
        self.transport.write(
            b"".join(
                (
                    STATUS_LINES[status],
                    self.server_fields(False, False),
                    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body),
                    UPGRADE_REQUIRED if status == 426 else RETRY if status == 503 else CLOSE,
                    body,
                )
            )
        )
        self.head_sent = True
        self.answered = len(body)

    def start(self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        encoder = self.context.encoder
        bodyless = status == 204 or status == 304
        # Trailer fields need the chunked coding, which must not stand beside a length (RFC 9112 section 6.2).
        trailers = trailers and not self.http10 and not self.bodyless and not bodyless
        self.fields = encoder.encode(headers, trailers or status == 204)
        self.length = -1 if status == 204 else encoder.content_length
        self.status = status
        if bodyless:
            self.bodyless = True
        self.app_close = encoder.close
        self.has_date = encoder.has_date
        self.has_server = encoder.has_server
        self.with_trailers = trailers
        self.trailer_fields = b""
        return self.length

    def end_after(self, stream: Stream) -> None:
        self.keep_alive = False

    def writing_blocked(self, stream: Stream) -> bool:
        return self.writing_paused

    def body(self, stream: Stream, data: bytes, end: bool) -> bool:
        paused = self.writing_paused
        if not self.head_sent:
            self.send_head(data, end)
        elif self.bodyless:
            pass
        elif self.chunked:
            last = end and not self.with_trailers
            if data or last:
                self.transport.write(encode_chunk(data, last))
        elif data:
            self.transport.write(data)
        if end and not self.with_trailers:
            self.response_ended()
            return True
        if self.writing_paused:
            if paused:  # else it was counted when the pause began
                self.unsent += len(data)
            return False
        return True

    def announce(self, stream: Stream, length: int) -> None:
        if self.length < 0 and not self.head_sent:
            self.length = length
            self.fields += b"content-length: %d\r\n" % length

    def send_file(self, stream: Stream, fd: int, offset: int, count: int, end: bool) -> bool:
        if self.bodyless or self.length < 0 or self.with_trailers or stream is not self.stream:
            return False
        # Asked with nothing first: a head must not leave before it is known who sends the body.
        if not self.transport.send_file(fd, offset, 0):
            return False
        if not self.head_sent:
            self.send_head(b"", False)
        paused = self.writing_paused
        self.transport.send_file(fd, offset, count)
        if paused:
            self.unsent += count
        if end:
            self.response_ended()
        return True

    def send_head(self, data: bytes, end: bool) -> None:
        """Sends the head and the first piece of the body together."""
        self.head_sent = True
        framing = b""
        last = end and not self.with_trailers
        self.chunked = False
        if self.with_trailers or (self.length < 0 and not end and not self.bodyless):
            if self.http10:
                self.keep_alive = False  # the end of the connection is the end of the body (RFC 9112 section 6.3)
            else:
                self.chunked = True
                framing = CHUNKED
        elif self.length < 0 and not self.bodyless:
            framing = b"content-length: %d\r\n" % len(data)
        if self.app_close or self.context.terminating or self.body_stays_unread():
            self.keep_alive = False
        if not self.keep_alive:
            ending = CLOSE
        elif self.http10:
            ending = b"".join((KEEP_ALIVE, self.context.keep_alive_hint))
        else:
            ending = self.context.keep_alive_hint
        if self.bodyless:
            data = b""
        elif self.chunked:
            data = encode_chunk(data, last)
        server = self.server_fields(self.has_date, self.has_server)
        line = STATUS_LINES[self.status]
        if len(data) > 16384:  # too long to copy again
            self.transport.write(encode_response(line, self.fields, server, framing, ending, b""))
            self.transport.write(data)
        else:
            self.transport.write(encode_response(line, self.fields, server, framing, ending, data))

    def server_fields(self, has_date: bool, has_server: bool) -> bytes:
        """The fields that the server adds. What is said of HTTP/3 is not for every connection."""
        context = self.context
        fields = context.server_fields(has_date, has_server)
        if context.secure_alt_svc and self.transport.scheme == "http":
            return fields.partition(b"alt-svc: ")[0]
        return fields

    def body_stays_unread(self) -> bool:
        """True where the rest of the request is more than the server would read just to keep the connection."""
        if self.request_done:
            return False
        if self.expect:
            return True  # a client that was never told to continue may or may not send the body
        return self.parser.body_remaining > self.context.limits.max_unread_body

    def trailers(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        if stream is not self.stream:
            return
        self.trailer_fields += self.context.encoder.encode(headers, True)
        if end and self.with_trailers:
            self.transport.write(encode_last_chunk(self.trailer_fields))
            self.response_ended()

    def hint(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]]) -> None:
        fields = self.context.encoder.encode(headers, True)
        if not self.http10 and not self.head_sent:
            self.transport.write(EARLY_HINTS + fields + CRLF)

    def reset(self, stream: Stream) -> int:
        if stream is not self.stream:
            return 0
        self.stream = None
        if self.head_sent:
            self.cut()
            return self.status
        self.answer(500, "Internal Server Error")
        if self.request_done and not self.parser.buffered():
            self.close()
        else:
            self.linger()
        return 500
