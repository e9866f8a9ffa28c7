"""One WebSocket (RFC 6455) over a pipe of bytes: messages up and down, control frames, the end, and the times.

The pipe is a `Transport`: a socket after an HTTP/1.1 upgrade, or the data of one HTTP/2 or HTTP/3 stream (RFC 8441,
RFC 9220). Nothing here knows which, or how the handshake went. `states` has the states.

An application that does not read stops the flow of data frames, and with them the reading of the socket; control
frames before the next data frame are still answered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.protocol.limits import Limits
from hypercorn.protocol.ports import Connection, Context, Exchange, Transport
from hypercorn.protocol.websocket.states import (
    CLOSING,
    ENDED,
    FAILING,
    LINGERING,
    OPEN,
    PINGED,
    QUIET,
    RECEIVED,
    WEBSOCKET,
)
from hypercorn.wire.deflate import SLICE_BYTES, LongMessage
from hypercorn.wire.frames import CLOSE, ERROR, HELD, MESSAGE, PING
from hypercorn.wire.websocket import FrameParser, encode_close, encode_message, encode_ping, encode_pong

LINGER_BYTES = 1048576  # bytes dropped while lingering before the connection is cut
NEVER = float("inf")
ABNORMAL = 1006  # what an application is told when no close frame came


class WebSocketConnection(Connection):
    """A WebSocket after its handshake. `sent` counts the bytes of its frames."""

    __slots__ = (
        "accepted",
        "active_at",
        "advancing",
        "backlog",
        "close_by",
        "compress_scheduled",
        "early_data",
        "ends_at",
        "exchange",
        "extension",
        "has_new_messages",
        "limits",
        "liveness",
        "parser",
        "ping_at",
        "pong",
        "reading_paused",
        "sent",
        "state",
        "unread",
        "unsent",
        "write_by",
        "writing_paused",
    )

    def __init__(self, transport: Transport, context: Context, exchange: Exchange, extension: Any = None) -> None:
        super().__init__(transport, context)
        limits = context.limits
        self.limits: Limits = limits
        self.exchange: Exchange | None = exchange
        self.extension = extension
        self.parser = FrameParser(limits.websocket_max_message_size, limits.websocket_max_frame_size, extension)
        self.accepted = 101  # the status that the handshake was answered with
        self.early_data = b""  # what came after the handshake
        self.state = OPEN
        self.liveness = QUIET  # what is known of the peer since the last look
        self.advancing = False
        self.has_new_messages = False  # the exchange has messages that its application does not know of
        self.reading_paused = False
        self.writing_paused = False
        self.backlog: list[LongMessage] | None = None  # what is compressed piece by piece, and what waits for that
        self.compress_scheduled = False  # the next piece's turn is coming
        self.pong: bytes | None = None  # the answer that waits until the peer reads
        self.unread = 0
        self.unsent = 0
        self.sent = 0
        # When what is due; 0: never.
        now = context.runtime.now()
        self.active_at = now
        self.ping_at = now + limits.websocket_ping_interval
        self.ends_at = now + limits.websocket_lifetime
        self.write_by = 0.0
        self.close_by = 0.0
        self.set_deadline()

    def take_over(self, rest: bytes) -> None:
        self.early_data = rest  # until the application knows that its `accept` was sent

    def begin(self) -> None:
        """Goes on from the handshake, with what followed it."""
        early_data = self.early_data
        if early_data:
            self.early_data = b""
            self.data_received(early_data)
            self.liveness = QUIET
        if self.context.terminating:
            self.shutdown()

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        if self.state >= LINGERING:
            self.unread += len(data)
            if self.unread > LINGER_BYTES and self.state == LINGERING:
                self.end()
            return
        self.liveness = RECEIVED
        self.parser.feed(data)
        self.advance()

    def eof_received(self) -> None:
        self.notify_closed(ABNORMAL, "")
        if self.state != ENDED:
            self.end()

    def connection_lost(self) -> None:
        self.state = WEBSOCKET.change(self.state, ENDED)
        self.deadline = 0.0
        self.notify_closed(ABNORMAL, "")

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.unsent = self.transport.unsent()
        self.write_by = self.context.runtime.now() + self.limits.write_timeout
        self.set_deadline()

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.write_by = 0.0
        if self.pong is not None and self.state < CLOSING:
            self.transport.write(encode_pong(self.pong))
        self.pong = None
        if self.backlog is not None and not self.compress_scheduled:
            self.compress_next()
        if self.exchange is not None:
            self.exchange.writable()

    # -- frames

    def advance(self) -> None:
        """Takes every frame at hand."""
        parser = self.parser
        if self.advancing:
            return
        self.advancing = True
        while self.state < LINGERING:
            event = parser.next_event()
            if event == MESSAGE:
                self.message_received(parser.message)
            elif event == PING:
                self.ping_received(parser.payload)
            elif event == CLOSE:
                self.close_received(parser.code, parser.reason)
            elif event == ERROR:
                self.error_received(parser.code, parser.reason)
            elif event == HELD:
                if not self.reading_paused:
                    self.reading_paused = True
                    self.transport.pause_reading()
                break
            elif not event:
                break
        self.advancing = False

    def message_received(self, message: str | bytes) -> None:
        """Hands a message up, or drops one that comes after our close frame."""
        if self.limits.websocket_idle_timeout < NEVER:
            self.active_at = self.context.runtime.now()
        exchange = self.exchange
        if exchange is None:
            return
        if not exchange.message_received(message):
            self.parser.hold = True
        if not self.has_new_messages:
            self.has_new_messages = True
            self.transport.end_turn_soon()  # where none is under way

    def turn_ended(self) -> None:
        if self.has_new_messages:
            self.has_new_messages = False
            if self.exchange is not None:
                self.exchange.resume()

    def ping_received(self, payload: bytes) -> None:
        """Answers a ping. While the peer does not read, only the last one is (RFC 6455 section 5.5.3)."""
        if self.state == OPEN:
            if self.writing_paused:
                self.pong = payload
            else:
                self.transport.write(encode_pong(payload))

    def close_received(self, code: int, reason: str) -> None:
        """The peer's close frame: answered with the same code, then the server is the one to close."""
        if self.state == OPEN:
            self.transport.write(encode_close(code, ""))
            self.notify_closed(code, reason)
        self.end()

    def notify_closed(self, code: int, reason: str) -> None:
        """Tells the exchange that the WebSocket is closed, once."""
        exchange = self.exchange
        self.exchange = None
        if exchange is not None:
            exchange.closed(code, reason)

    # -- from the exchange

    def send_message(self, message: str | bytes) -> bool:
        """Sends a message (str or bytes). Returns False when the sender should wait.

        Raises TypeError, and UnicodeEncodeError for text with lone surrogates.
        """
        if self.state >= CLOSING:
            return True
        if self.extension is None:
            data = encode_message(message)
        else:
            data = self.encode_frame(message)
            if not data:
                return False
        self.sent += len(data)
        self.transport.write(data)
        if self.limits.websocket_idle_timeout < NEVER:
            self.active_at = self.context.runtime.now()
        return not self.writing_paused

    def encode_frame(self, message: str | bytes) -> bytes:
        """The frame of a message where compression was agreed on. Empty for a long message, which leaves piece by
        piece, and for what has to wait behind it."""
        data = message.encode() if type(message) is str else message
        if type(data) is bytes:
            if len(data) > SLICE_BYTES or self.backlog is not None:
                self.compress_later(LongMessage(self.extension, data, data is not message))
                return b""
            if len(data) >= self.extension.threshold:
                made: bytes = self.extension.frame(message, data)
                return made
        return encode_message(message)

    def compress_later(self, message: LongMessage) -> None:
        """Compresses a message in slices, so that none holds up the other connections for long."""
        if self.backlog is not None:
            self.backlog.append(message)
        else:
            self.backlog = [message]
            self.compress_next()

    def compress_next(self) -> None:
        """Sends the next piece."""
        self.compress_scheduled = False
        backlog = self.backlog
        if backlog is None or self.state >= CLOSING or self.writing_paused:
            return
        first = backlog[0]
        data = first.next_frame()
        if first.over:
            del backlog[0]
        if data:
            self.sent += len(data)
            self.transport.write(data)
        if backlog:
            self.compress_scheduled = True
            self.transport.call_soon(self.compress_next)
        else:
            self.backlog = None
            if self.limits.websocket_idle_timeout < NEVER:
                self.active_at = self.context.runtime.now()
            if self.exchange is not None and not self.writing_paused:
                self.exchange.writable()

    def compress_rest(self) -> None:
        """Sends at once what is left: a close frame is next."""
        backlog = self.backlog or ()
        self.backlog = None
        for message in backlog:
            while not message.over:
                data = message.next_frame()
                self.sent += len(data)
                self.transport.write(data)

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake: sends a close frame, then waits for the peer's, dropping other frames."""
        self.exchange = None
        if self.state >= CLOSING:
            return
        if self.backlog is not None:
            self.compress_rest()
        self.transport.write(encode_close(code, reason))
        if self.state == FAILING:  # no close frame of the peer could be read
            self.linger()
            return
        self.state = WEBSOCKET.change(self.state, CLOSING)
        self.wait_for_end()
        self.resume_frames()

    def writing_blocked(self, exchange: Exchange) -> bool:
        return (self.writing_paused or self.backlog is not None) and self.state < CLOSING

    def body_wanted(self, exchange: Exchange) -> None:
        if self.state == FAILING:
            self.fail(self.parser.code, self.parser.reason, self.parser.code)
        elif self.parser.hold:
            self.resume_frames()

    def finished(self, exchange: Exchange) -> None:
        self.transport.call_ended(exchange)

    def resume_frames(self) -> None:
        """Takes data frames again."""
        self.parser.hold = False
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()
        self.advance()

    def reset(self, exchange: Exchange) -> int:
        if exchange is self.exchange:
            self.close(1011, "")
        return 101

    def start(self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        raise NotImplementedError  # no response follows a handshake

    # -- the end

    def error_received(self, code: int, reason: str) -> None:
        """Ends the WebSocket of a peer that broke the protocol. What it said before that is still answered: the end
        waits until the application has read it and asks for more, for as long as a closing handshake may take."""
        if self.state == OPEN and self.exchange is not None and self.exchange.pending():
            self.state = WEBSOCKET.change(self.state, FAILING)
            self.wait_for_end()
        else:
            self.fail(code, reason, code)

    def fail(self, code: int, reason: str, told_code: int) -> None:
        """Ends the WebSocket because of the peer; `told_code` is the code that the application gets."""
        if self.state < CLOSING:
            self.transport.write(encode_close(code, reason))
        self.notify_closed(told_code, reason)
        self.linger()

    def linger(self) -> None:
        """Half-closes, so that the peer can read why before it is cut off (RFC 6455 section 7.1.7)."""
        self.state = WEBSOCKET.change(self.state, LINGERING)
        self.unread = 0
        self.transport.write_eof()
        self.wait_for_end()
        if self.reading_paused:
            self.reading_paused = False
            self.transport.resume_reading()

    def end(self) -> None:
        """Closes the pipe: what was written is sent first."""
        self.state = WEBSOCKET.change(self.state, ENDED)
        self.wait_for_end()
        self.transport.close()

    def wait_for_end(self) -> None:
        """Gives the peer, or the kernel, `websocket_close_timeout` seconds."""
        self.ping_at = self.ends_at = self.write_by = 0.0
        self.close_by = self.context.runtime.now() + self.limits.websocket_close_timeout
        self.set_deadline()

    # -- times

    def set_deadline(self) -> None:
        """Sets the deadline to the earliest of what is due."""
        first = self.close_by
        for when in (self.ping_at, self.ends_at, self.write_by, self.idle_at()):
            if when and (not first or when < first):
                first = when
        self.deadline = first
        if first:
            self.transport.set_deadline(first)

    def idle_at(self) -> float:
        """Returns when the WebSocket is idle for too long (seconds of `Runtime.now`); control frames do not count."""
        if self.state >= CLOSING:
            return 0.0
        return self.active_at + self.limits.websocket_idle_timeout

    def expired(self, now: float) -> None:
        if self.state >= CLOSING:
            if self.close_by and now >= self.close_by:
                self.close_by = 0.0
                self.set_deadline()
                self.transport.abort()
            return
        if self.state == FAILING and self.close_by and now >= self.close_by:
            self.fail(self.parser.code, self.parser.reason, self.parser.code)
            return
        if self.write_by and now >= self.write_by:
            left = self.transport.unsent()
            if not 0 < left < self.unsent:
                self.notify_closed(ABNORMAL, "")
                self.abort()
                return
            self.unsent = left
            self.write_by = now + self.limits.write_timeout
        if self.ends_at and now >= self.ends_at:
            self.end_by_server(1001, "lifetime")
        elif self.idle_at() and now >= self.idle_at():
            self.end_by_server(1001, "idle")
        elif self.ping_at and now >= self.ping_at:
            self.ping_due(now)
        if self.state < CLOSING:
            self.set_deadline()

    def ping_due(self, now: float) -> None:
        """Sends a ping, or looks whether anything came since the last one. A peer is not judged by this
        while the application does not read its messages, or it does not read itself."""
        limits = self.limits
        if self.reading_paused or self.writing_paused or self.liveness == RECEIVED:
            self.liveness = QUIET
            self.ping_at = now + limits.websocket_ping_interval
        elif self.liveness == PINGED:
            self.fail(1011, "ping timeout", ABNORMAL)
        else:
            self.transport.write(encode_ping())
            if limits.websocket_ping_timeout < NEVER:
                self.liveness = PINGED
                self.ping_at = now + limits.websocket_ping_timeout
            else:
                self.ping_at = now + limits.websocket_ping_interval

    def end_by_server(self, code: int, reason: str) -> None:
        """Ends the WebSocket for a reason of the server's own."""
        exchange = self.exchange
        self.close(code, reason)
        if exchange is not None:
            exchange.closed(code, reason)

    def shutdown(self) -> None:
        if self.state < CLOSING:
            self.end_by_server(1012, "")

    def abort(self) -> None:
        self.state = WEBSOCKET.change(self.state, ENDED)
        self.deadline = 0.0
        self.transport.abort()
