"""HTTP/1.0 and 1.1 on one connection (RFC 9112): requests one after the other, each with its response.

The codec says what the bytes mean; this machine says what happens next. An exchange is over when the request was
received whole and the response was sent whole; only then is the next head parsed, so answers keep their order and
pipelined bytes wait in the parser, bounded because reading pauses behind them.

    idle -> head -> exchange (body in, response out) -> idle ...
                                                     -> closed, or lingering: half-closed, dropping what still comes
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.errors import ProtocolError
from hypercorn.protocol.ports import Connection, Context, Stream, Transport
from hypercorn.protocol.upgrade import UPGRADE_REQUIRED, check_upgrade, switch
from hypercorn.wire.http1 import (
    BODY,
    ERROR,
    HEAD,
    STATUS_LINES,
    RequestParser,
    encode_chunk,
    encode_last_chunk,
)

# What the deadline waits for.
NOTHING, FIRST_HEAD, NEXT_HEAD, PARTIAL_HEAD, REQUEST_BODY, WRITE_PROGRESS, LINGER, HANDSHAKE = range(8)

PIPELINE_BUFFER = 65536  # bytes of later requests that are read before reading pauses
LINGER_BYTES = 1048576  # bytes dropped while lingering before the connection is cut
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n"
CRLF = b"\r\n"
CLOSE = b"connection: close\r\n\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"


class HTTP1Connection(Connection):
    """The HTTP/1 state of one transport."""

    __slots__ = (
        "advancing",
        "app_close",
        "bodyless",
        "chunked",
        "eof",
        "expect",
        "fields",
        "has_date",
        "has_server",
        "head_sent",
        "http10",
        "keep_alive",
        "length",
        "lingering",
        "lost",
        "open",
        "parser",
        "reading_paused",
        "received",
        "request_done",
        "requests",
        "resume",
        "status",
        "stream",
        "trailer_fields",
        "unread",
        "unsent",
        "upgrading",
        "waiting_for",
        "with_trailers",
        "writing_paused",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.parser = RequestParser(
            context.max_request_line_size,
            context.max_header_size,
            context.max_header_count,
            keep_case=context.keep_case,
        )
        self.stream: Stream | None = None
        self.requests = 0
        self.open = False  # an exchange is going on
        self.advancing = False
        self.resume = False  # the exchange ended outside `advance`: go on when the turn ends
        self.reading_paused = False
        self.writing_paused = False
        self.eof = False
        self.lingering = False
        self.lost = False  # no more output: closed, or closing
        self.unread = 0  # bytes dropped: of a body after its response, or while lingering
        self.unsent = 0
        # the request
        self.request_done = True
        self.expect = False
        self.received = 0
        self.http10 = False
        self.keep_alive = True
        self.upgrading = False
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
        self.wait(FIRST_HEAD, context.header_timeout)

    # -- from the transport

    def data_received(self, data: bytes) -> Connection | None:
        if self.lost:
            return None
        if self.lingering:
            self.unread += len(data)
            if self.unread > LINGER_BYTES:
                self.close()
            return None
        self.parser.feed(data)
        self.advance()
        return None

    def eof_received(self) -> None:
        self.eof = True
        if self.lost:
            return
        if self.lingering:
            self.close()
        elif not self.open:
            self.advance()
        elif not self.request_done:
            if self.stream is None:
                self.close()
            else:
                self.refuse(ProtocolError(408, "the connection ended inside the request body"))
        elif self.upgrading:  # half a WebSocket is none
            self.leave()
            self.close()
        elif self.stream is not None:
            self.stream.peer_closed()

    def end_of_input(self) -> None:
        """No exchange is open and the peer sends no more."""
        if self.parser.idle:
            self.close()
        else:
            self.refuse(ProtocolError(408, "the connection ended inside the request head"))

    def connection_lost(self) -> None:
        self.lost = True
        self.wait(NOTHING, 0)
        self.leave()

    def leave(self) -> None:
        """The peer is gone: so its exchange is over."""
        stream = self.stream
        self.stream = None
        if stream is not None:
            stream.disconnected(0)

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.unsent = self.transport.unsent()
        self.wait(WRITE_PROGRESS, self.context.write_timeout)

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.lost:
            return
        if self.lingering:
            self.wait(LINGER, self.context.linger_timeout)
        else:
            self.wait_for_peer()
        if self.stream is not None:
            self.stream.writable()
        elif not self.open and (self.eof or self.reading_paused or self.parser.buffered > 0):
            self.resume = True
            self.transport.end_turn_soon()

    def turn_ended(self) -> None:
        if self.resume:
            self.resume = False
            self.advance()

    # -- the request

    def advance(self) -> None:
        """Parses on: heads open streams, bodies go to them; stops where bytes or the response are missing."""
        if self.advancing or self.lost or self.lingering:
            return
        self.advancing = True
        parser = self.parser
        while not self.lost and not self.lingering:
            if self.request_done if self.open else self.writing_paused:
                self.hold_pipelined()
                break
            event = parser.next_event()
            if event == HEAD:
                self.head_received(parser)
            elif event == BODY:
                self.piece_received(parser)
            elif event == ERROR:
                self.refuse(parser.error)
            else:
                self.need_data(parser)
                break
        self.advancing = False

    def hold_pipelined(self) -> None:
        """The response is not finished, or not taken by the peer: later requests wait, and reading pauses when there
        are many."""
        if not self.reading_paused and self.parser.buffered > PIPELINE_BUFFER:
            self.reading_paused = True
            self.transport.pause_reading()

    def need_data(self, parser: RequestParser) -> None:
        """All bytes are used: set the deadline for what is missing, and read on."""
        if self.open:
            self.wait_for_peer()
        elif self.eof:
            self.end_of_input()
        else:
            if self.reading_paused:
                self.reading_paused = False
                self.transport.resume_reading()
            if not parser.idle and self.waiting_for != PARTIAL_HEAD and self.waiting_for != FIRST_HEAD:
                self.wait(PARTIAL_HEAD, self.context.header_timeout)

    def head_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a request."""
        context = self.context
        self.requests += 1
        self.http10 = parser.http_version == "1.0"
        self.keep_alive = parser.keep_alive and (
            not context.keep_alive_max_requests or self.requests < context.keep_alive_max_requests
        )
        self.bodyless = parser.method == "HEAD"
        self.request_done = parser.complete
        self.expect = parser.expect_continue
        self.received = 0
        self.unread = 0
        self.head_sent = False
        self.with_trailers = False
        if context.server_names and not context.serves(parser.host):
            self.refuse(ProtocolError(404, "no such host here"))
            return
        if not parser.complete and context.max_body_size and parser.content_length > context.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        if parser.upgrade == b"websocket" and context.websocket is not None:
            self.handshake_received(parser)
            return
        self.open = True
        self.waiting_for = NOTHING
        self.deadline = 0.0
        stream = context.open_http(self, parser)
        self.stream = stream
        if not parser.complete and parser.buffered:
            # What came with the head is there before the application asks, so that it need not wait for it.
            event = parser.next_event()
            if event == BODY:
                self.piece_received(parser)
            elif event == ERROR:
                self.refuse(parser.error)
            if self.stream is not stream:
                return
        stream.begin()

    def handshake_received(self, parser: RequestParser) -> None:
        """Opens the exchange of a WebSocket handshake. What the client sends next is held until it is answered; it is
        never taken for another request."""
        self.keep_alive = False
        handshake = check_upgrade(self, parser)
        if handshake is None:
            return
        self.open = True
        self.wait(HANDSHAKE, self.context.websocket.handshake_timeout)
        self.upgrading = True
        self.stream = self.context.open_websocket(self, parser, handshake)
        self.stream.begin()

    def accept(self, stream: Stream, headers: Iterable[tuple[bytes, bytes]], extension: Any) -> Connection:
        successor = switch(self, stream, headers, extension)
        self.stream = None
        self.lost = True  # to this connection it is
        self.wait(NOTHING, 0)
        return successor

    def piece_received(self, parser: RequestParser) -> None:
        """Hands a piece of the body up, or drops it when the response is already complete."""
        data = parser.body
        self.expect = False
        self.received += len(data)
        if parser.complete:
            self.request_done = True
            self.wait_for_peer()
        if self.context.max_body_size and self.received > self.context.max_body_size:
            self.refuse(ProtocolError(413, "the request body is larger than this server accepts"))
            return
        stream = self.stream
        if stream is not None:
            if parser.trailers:
                stream.trailers_received(parser.trailers)
            if not stream.body_received(data, parser.complete) and not self.request_done:
                self.reading_paused = True
                self.transport.pause_reading()
                self.wait_for_peer()
            return
        self.unread += len(data)
        if self.request_done:
            self.exchange_ended()
        elif self.unread > self.context.max_unread_body:
            self.linger()

    def refuse(self, error: ProtocolError) -> None:
        """Answers a request that broke the protocol, and ends the connection (RFC 9112 section 9.6)."""
        stream = self.stream
        status = error.status
        if stream is not None:
            self.stream = None
            if self.head_sent:
                stream.disconnected(0)
                self.cut()
                return
            self.answer(status, error.reason)
            stream.disconnected(status)
        elif self.open:  # the response is complete already, only its request went wrong
            pass
        else:
            self.answer(status, error.reason)
            self.context.refused(self, self.parser, status, error.reason)
        self.linger()

    def answer(self, status: int, reason: str) -> None:
        """Writes a whole response of the server's own, which announces the end of the connection."""
        body = b"" if self.parser.method == "HEAD" else reason.encode("ascii", "replace") + b"\n"
        self.transport.write(
            b"".join(
                (
                    STATUS_LINES[status],
                    self.context.server_fields(False, False),
                    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body),
                    UPGRADE_REQUIRED if status == 426 else CLOSE,
                    body,
                )
            )
        )
        self.head_sent = True
        self.answered = len(body)

    # -- the response

    def start(
        self, stream: Stream, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool
    ) -> int:
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
        self.transport.send_file(fd, offset, count)
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
                self.keep_alive = (
                    False  # the end of the connection is the end of the body (RFC 9112 section 6.3)
                )
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
            ending = KEEP_ALIVE
        else:
            ending = CRLF
        if self.bodyless:
            data = b""
        elif self.chunked:
            data = encode_chunk(data, last)
        server = self.context.server_fields(self.has_date, self.has_server)
        line = STATUS_LINES.get(self.status)
        if line is None:
            line = b"HTTP/1.1 %d \r\n" % self.status
        if len(data) > 16384:  # too long to copy again
            self.transport.write(b"".join((line, self.fields, server, framing, ending)))
            self.transport.write(data)
        else:
            self.transport.write(b"".join((line, self.fields, server, framing, ending, data)))

    def body_stays_unread(self) -> bool:
        """True where the rest of the request is more than the server would read just to keep the connection."""
        if self.request_done:
            return False
        if self.expect:
            return True  # a client that was never told to continue may or may not send the body
        return self.parser.body_remaining > self.context.max_unread_body

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
        if self.request_done and not self.parser.buffered:
            self.close()
        else:
            self.linger()
        return 500

    def wanted(self, stream: Stream) -> None:
        if stream is not self.stream:
            return
        if self.expect:
            self.expect = False
            if not self.head_sent:
                self.transport.write(CONTINUE)
            self.wait_for_peer()
        if self.reading_paused and not self.request_done:
            self.reading_paused = False
            self.transport.resume_reading()
            self.wait_for_peer()

    def response_ended(self) -> None:
        """The response was sent whole."""
        self.stream = None
        if self.request_done:
            self.exchange_ended()
        elif not self.keep_alive or self.body_stays_unread():
            self.linger()
        elif self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
            self.wait_for_peer()

    def exchange_ended(self) -> None:
        """Request and response are complete: on to the next, or the end."""
        self.open = False
        if not self.keep_alive:
            if self.parser.buffered and not self.eof:
                self.linger()  # closing on unread input would reset the connection under the response
            else:
                self.close()
            return
        if self.context.terminating:
            self.close()
            return
        if not self.writing_paused:
            self.wait(NEXT_HEAD, self.context.keep_alive_timeout)
        if not self.advancing:
            self.resume = self.eof or self.reading_paused or self.parser.buffered > 0
            if self.resume:
                self.transport.end_turn_soon()

    # -- the end

    def cut(self) -> None:
        """Ends the connection inside a response, so that the peer cannot take it for complete."""
        if self.length < 0 and not self.chunked and not self.bodyless:
            self.abort()  # a polite end would be the end of the body
        else:
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        if not self.lost:
            self.lost = True
            self.wait(WRITE_PROGRESS, self.context.write_timeout)
            self.transport.close()
            self.unsent = self.transport.unsent()

    def linger(self) -> None:
        """Half-closes and drops what the peer still sends, so that it can read the response (RFC 9112 section 9.6)."""
        if self.lost or self.lingering:
            return
        if self.eof:
            self.close()
            return
        self.lingering = True
        self.unread = 0
        self.transport.write_eof()
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
        if not self.writing_paused:
            self.wait(LINGER, self.context.linger_timeout)

    def wait_for_peer(self) -> None:
        """Sets the deadline for what the peer has to do next."""
        if self.writing_paused:
            return  # it has to read, and that deadline stands
        if self.open:
            if self.request_done or self.reading_paused or self.expect:
                self.wait(NOTHING, 0)
            else:
                self.wait(REQUEST_BODY, self.context.body_timeout)
        elif self.parser.idle:
            self.wait(NEXT_HEAD, self.context.keep_alive_timeout)
        else:
            self.wait(PARTIAL_HEAD, self.context.header_timeout)

    def wait(self, what: int, seconds: float) -> None:
        """Sets what the connection waits for, and for how long (0: without end)."""
        self.waiting_for = what
        if seconds:
            self.deadline = self.context.runtime.now() + seconds
            if self.deadline < self.context.next_sweep:
                self.context.arm(self.deadline)
        else:
            self.deadline = 0.0

    def expired(self, now: float) -> None:
        waiting_for = self.waiting_for
        if waiting_for == WRITE_PROGRESS:
            left = self.transport.unsent()
            if 0 < left < self.unsent:
                self.unsent = left
                self.wait(WRITE_PROGRESS, self.context.write_timeout)
            else:
                self.wait(NOTHING, 0)
                self.transport.abort()
        elif waiting_for == REQUEST_BODY:
            if self.stream is None:
                self.linger()
            else:
                self.refuse(ProtocolError(408, "the request body did not arrive in time"))
        elif (waiting_for == FIRST_HEAD or waiting_for == PARTIAL_HEAD) and not self.parser.idle:
            self.refuse(ProtocolError(408, "the request head did not arrive in time"))
        elif waiting_for == HANDSHAKE:
            self.wait(NOTHING, 0)
            if not self.head_sent:
                self.refuse(ProtocolError(504, "the application did not answer the handshake in time"))
        elif waiting_for == LINGER and not self.lost:
            self.close()
        elif waiting_for != NOTHING:
            self.close()

    def shutdown(self) -> None:
        self.keep_alive = False
        if not self.open and not self.lingering:
            self.close()

    def abort(self) -> None:
        self.lost = True
        self.wait(NOTHING, 0)
        self.transport.abort()
