"""Responses of an HTTP/1 connection as they look on the wire (RFC 9112 sections 4, 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.objects import same_text
from hypercorn.protocol.http1.states import CHUNKED, NO_BODY, SIZED, UNDECIDED, UNTIL_CLOSE
from hypercorn.protocol.ports import Context, Transport
from hypercorn.wire.http1 import RequestParser
from hypercorn.wire.http1_primitives import encode_chunk, encode_response
from hypercorn.wire.tables import STATUS_LINES
from hypercorn.wire.writing import encode_last_chunk

EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n"
CRLF = b"\r\n"
CLOSE = b"connection: close\r\n\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
RETRY = b"retry-after: 1\r\nconnection: close\r\n\r\n"
UPGRADE_REQUIRED = b"upgrade: websocket\r\nsec-websocket-version: 13\r\nconnection: upgrade, close\r\n\r\n"
CHUNKED_CODING = b"transfer-encoding: chunked\r\n"
COPIED_BYTES = 16384  # a first piece up to this size is copied behind the head; a larger one is written by itself


class ResponseWriter:
    """Writes the responses of one connection, one after the other. The connection decides when, and what follows."""

    __slots__ = (
        "context",
        "fields",
        "framing",
        "has_date",
        "has_server",
        "head_sent",
        "http10",
        "length",
        "parser",
        "status",
        "trailer_fields",
        "transport",
        "with_trailers",
    )

    def __init__(self, transport: Transport, context: Context, parser: RequestParser) -> None:
        self.transport = transport
        self.context = context
        self.parser: RequestParser = parser  # it has the head of the request
        self.head_sent = False
        # The rest is set by `start`.
        self.status = 0
        self.fields = b""  # header fields, encoded
        self.length = -1  # of the body as the application announced it, or -1
        self.framing = UNDECIDED
        self.http10 = False
        self.has_date = False
        self.has_server = False
        self.with_trailers = False
        self.trailer_fields = b""

    def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> None:
        """Checks and keeps the head of the final response. Raises TypeError or ValueError for a bad one."""
        context, parser = self.context, self.parser
        encoder = context.encoder
        self.http10 = same_text(parser.http_version, "1.0")
        bodyless = status == 204 or status == 304 or same_text(parser.method, "HEAD")
        # Trailer fields need the chunked coding, which must not stand beside a length (RFC 9112 section 6.2).
        trailers = trailers and not self.http10 and not bodyless
        self.fields = encoder.encode(headers, trailers or status == 204)
        self.length = -1 if status == 204 else encoder.content_length
        self.status = status
        self.framing = NO_BODY if bodyless else UNDECIDED
        self.has_date = encoder.has_date
        self.has_server = encoder.has_server
        self.with_trailers = trailers
        self.trailer_fields = b""

    def announce(self, length: int) -> None:
        """Adds the length of the body, if neither the application nor a sent head has decided on it."""
        if self.length < 0 and not self.head_sent:
            self.length = length
            self.fields += b"content-length: %d\r\n" % length

    def send_head(self, data: bytes, end: bool, keep_alive: bool) -> bool:
        """Sends the head together with the first piece of the body.

        Returns False if the connection has to end after this response: because `keep_alive` is False, or because its
        end is the end of the body (RFC 9112 section 6.3).
        """
        own = self.context.response_fields
        self.head_sent = True
        framing = b""
        if self.framing == NO_BODY:
            data = b""
        elif self.with_trailers or (self.length < 0 and not end):
            if self.http10:
                self.framing = UNTIL_CLOSE
                keep_alive = False
            else:
                self.framing = CHUNKED
                framing = CHUNKED_CODING
        else:
            self.framing = SIZED
            if self.length < 0:
                framing = b"content-length: %d\r\n" % len(data)
        if not keep_alive:
            ending = CLOSE
        elif self.http10:
            ending = b"".join((KEEP_ALIVE, own.keep_alive_hint))
        else:
            ending = own.keep_alive_hint
        if self.framing == CHUNKED:
            data = encode_chunk(data, end and not self.with_trailers)
        server = own.encoded(self.has_date, self.has_server)
        if own.secure_alt_svc:
            server = self.without_alt_svc(server)
        line = STATUS_LINES[self.status]
        if len(data) > COPIED_BYTES:
            self.transport.write(encode_response(line, self.fields, server, framing, ending, b""))
            self.transport.write(data)
        else:
            self.transport.write(encode_response(line, self.fields, server, framing, ending, data))
        return keep_alive

    def send_trailers(self, headers: Iterable[tuple[bytes, bytes]], end: bool) -> bool:
        """Keeps trailer fields and sends all of them with the last. Returns True once the response has ended."""
        self.trailer_fields += self.context.encoder.encode(headers, True)
        if not end or not self.with_trailers:
            return False
        self.transport.write(encode_last_chunk(self.trailer_fields))
        return True

    def send_hints(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Sends a 103 (Early Hints), which HTTP/1.0 does not have."""
        fields = self.context.encoder.encode(headers, True)
        if not self.head_sent and not same_text(self.parser.http_version, "1.0"):
            self.transport.write(EARLY_HINTS + fields + CRLF)

    def send_error(self, status: int, reason: str) -> int:
        """Sends a whole response of the server's own, which announces the end of the connection. Returns the size of
        its body in bytes."""
        body = b"" if same_text(self.parser.method, "HEAD") else reason.encode("ascii", "replace") + b"\n"
        self.transport.write(
            b"".join(
                (
                    STATUS_LINES[status],
                    self.server_fields(False, False),
                    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(body),
                    UPGRADE_REQUIRED if status == 426 else RETRY if status == 503 or status == 429 else CLOSE,
                    body,
                )
            )
        )
        self.head_sent = True
        return len(body)

    def server_fields(self, has_date: bool, has_server: bool) -> bytes:
        """The fields that the server adds to a response, encoded."""
        return self.without_alt_svc(self.context.response_fields.encoded(has_date, has_server))

    def without_alt_svc(self, fields: bytes) -> bytes:
        """Leaves out the address of HTTP/3 where it is not for a connection like this one."""
        own = self.context.response_fields
        if own.secure_alt_svc and self.transport.scheme == "http":
            return fields[: len(fields) - len(own.alt_svc)]  # it is the last of them
        return fields
