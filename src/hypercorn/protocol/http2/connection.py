"""HTTP/2 on one connection (RFC 9113): many streams, each an exchange, over one order of bytes.

The parser says what a frame is; this machine says what it means. Faults of a stream reset the stream, faults of the
connection end it with GOAWAY. What costs the server more than its peer is counted (`budgets`), and a stream that was
reset counts as open until its application call has ended.

    first SETTINGS -> serving -> draining: GOAWAY in two steps (section 6.8) -> closed
                              -> lingering: GOAWAY with an error, then dropping what still comes
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.objects import same_text
from hypercorn.protocol.http2 import push
from hypercorn.protocol.http2.requests import HTTP2Requests
from hypercorn.protocol.mux.budgets import (
    ALIVE_PING,
    CONTROLS,
    DRAIN_PING,
    EMPTY,
    GLITCHES,
    LARGEST_ID,
    LARGEST_WINDOW,
    LINGER_BYTES,
    RESETS,
    UPDATES,
)
from hypercorn.protocol.mux.connection import Sender, read_priority
from hypercorn.protocol.mux.stream import HTTP2Stream
from hypercorn.protocol.mux.tunnel import open_tunnel
from hypercorn.protocol.ports import Context, Transport
from hypercorn.wire import http2_events as frames
from hypercorn.wire.http2 import FrameParser
from hypercorn.wire.http2_events import (
    DATA,
    ERROR,
    GOAWAY,
    HEADERS,
    NEED_DATA,
    PING,
    PING_ACK,
    PRIORITY_UPDATE,
    RESET,
    SETTINGS,
    SETTINGS_ACK,
    STREAM_ERROR,
    WINDOW_UPDATE,
)
from hypercorn.wire.http2_head import HTTP2Head, judge_request, judge_trailers
from hypercorn.wire.http2_tables import (
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOOD,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
)

FIRST_WINDOW = 65535  # octets of DATA that a peer takes unasked on a whole connection (RFC 9113 section 6.9.2)


class HTTP2Connection(HTTP2Requests):
    """The HTTP/2 state of one transport."""

    __slots__ = (
        "advancing",
        "allow_push",
        "awaits_preface",
        "first",
        "first_window",
        "fresh",
        "held",
        "max_pushes",
        "parser",
        "requests",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        transport.scope_template = None  # it may be HTTP/1.1's
        self.parser = FrameParser(
            context.limits.h2_max_inbound_frame_size,
            context.limits.h2_max_header_list_size,
            context.limits.max_header_count,
        )
        self.first_window = 65535  # of the peer's streams: what it takes from each unasked
        self.requests = 0
        self.first: Any = None  # upgraded: the head of the request, and the peer's settings
        self.awaits_preface = False  # upgraded: no DATA leaves before the client has shown that it speaks HTTP/2
        self.advancing = False
        self.held = False  # frames wait in the parser for another turn
        self.fresh: HTTP2Stream | None = None  # its application starts with the next event
        self.allow_push = True  # the peer takes pushed responses
        self.max_pushes = LARGEST_ID  # at the same time
        self.send_preface()

    def take_over(self, rest: bytes) -> None:
        if self.first is not None:
            head, settings = self.first
            self.first = None
            self.upgraded(head, settings)
        HTTP2Requests.take_over(self, rest)  # super() fails in a compiled method that overrides a C one

    def upgraded(self, head: HTTP2Head, settings: dict[int, int]) -> None:
        """Goes on from HTTP/1.1, whose request is stream 1 (RFC 7540 section 3.2)."""
        self.take_settings(settings)
        self.awaits_preface = True
        self.send_window -= FIRST_WINDOW
        self.requests = 1
        self.last_id = 1
        stream = self.open_stream(1, head)
        stream.stream = self.context.open_http(stream, head)
        self.begin_call(stream)

    def send_preface(self) -> None:
        """The server's SETTINGS, and a window for the whole connection."""
        context = self.context
        settings: list[tuple[int, int]] = [
            (frames.MAX_CONCURRENT_STREAMS, context.limits.h2_max_concurrent_streams),
            (frames.INITIAL_WINDOW_SIZE, min(context.limits.h2_stream_window, LARGEST_WINDOW)),
            (frames.MAX_FRAME_SIZE, context.limits.h2_max_inbound_frame_size),
            (frames.MAX_HEADER_LIST_SIZE, context.limits.h2_max_header_list_size),
            (frames.NO_RFC7540_PRIORITIES, 1),
        ]
        if context.websocket is not None and context.websocket.extended_connect:
            settings.append((frames.ENABLE_CONNECT_PROTOCOL, 1))
        self.writer.settings(settings)
        if self.recv_window > 65535:
            self.writer.window_update(0, self.recv_window - 65535)
        self.written()

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        if self.lost or self.lingering:
            self.unread += len(data)
            if self.lingering and self.unread > LINGER_BYTES:
                self.close()
            return
        self.parser.feed(data)
        if not self.held:
            self.advance()

    def turn_ended(self) -> None:
        if self.held and not self.transport.overdue():
            self.held = False
            self.transport.resume_reading()
            self.advance()
        HTTP2Requests.turn_ended(self)  # super() fails in a compiled method that overrides a C one

    def advance(self) -> None:
        """Takes every frame at hand, for as long as a turn may last."""
        if self.advancing:
            return
        self.advancing = True
        parser = self.parser
        while not self.lost and not self.lingering:
            if self.transport.overdue():
                self.hold_frames()
                break
            event = parser.next_event()
            fresh = self.fresh
            if fresh is not None and event != RESET and (event != DATA or parser.stream_id != fresh.id):
                self.fresh = None
                self.begin_call(fresh)
            if event == HEADERS:
                self.headers_received(parser)
            elif event == DATA:
                self.data_frame(parser)
            elif event == NEED_DATA:
                break
            elif event == WINDOW_UPDATE:
                self.window_update(parser.stream_id, parser.value)
            else:
                self.other_frame(parser, event)
        self.advancing = False
        if not self.held:
            self.input_used(parser.partial, parser.frames)

    def hold_frames(self) -> None:
        """The applications' steps of this turn took long: the rest waits until others had theirs."""
        self.held = True
        self.transport.pause_reading()
        self.transport.turn_soon()

    # -- requests

    def headers_received(self, parser: FrameParser) -> None:
        """HEADERS: a request, or the trailer fields of one (RFC 9113 section 8.1)."""
        stream_id = parser.stream_id
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.trailers_received(stream, parser)
        elif not stream_id & 1:
            self.fail(PROTOCOL_ERROR, "a client opens odd streams")
        elif stream_id <= self.last_id:
            if stream_id not in self.cut:
                self.fail(STREAM_CLOSED, "HEADERS on a closed stream")
        elif not self.final:
            self.last_id = stream_id
            self.new_request(stream_id, parser)

    def new_request(self, stream_id: int, parser: FrameParser) -> None:
        """Opens a stream, if its request is in order and there is room for it."""
        context = self.context
        self.requests += 1
        if self.requests >= context.limits.keep_alive_max_requests or stream_id > LARGEST_ID - 2:
            self.drain()
        if len(self.streams) - self.pushes + self.zombies >= context.limits.h2_max_concurrent_streams:
            self.refuse_stream(stream_id, REFUSED_STREAM)
            return
        head: HTTP2Head = HTTP2Head.__new__(HTTP2Head)
        head.clear()
        if parser.oversize:
            self.answer_early(stream_id, head, 431, parser.end_stream)
            return
        verdict = judge_request(parser.fields or [], head)
        head.complete = parser.end_stream
        head.may_push = self.allow_push and len(head.host) > 0  # what is promised needs an authority
        if verdict != GOOD or (head.complete and head.content_length > 0):
            self.refuse_request(stream_id, head, verdict)
            return
        if context.server_names and not context.serves(head.host):
            status = 421 if head.host and same_text(self.transport.scheme, "https") else 404
            self.answer_early(stream_id, head, status, head.complete)
            return
        if head.content_length > context.limits.max_body_size:
            self.answer_early(stream_id, head, 413, head.complete)
            return
        if head.protocol:
            self.new_websocket(stream_id, head)
            return
        stream = self.open_stream(stream_id, head)
        stream.stream = context.open_http(stream, head)
        self.fresh = stream

    def new_websocket(self, stream_id: int, head: HTTP2Head) -> None:
        """An extended CONNECT (RFC 8441): a WebSocket's handshake, or a protocol that is not known."""
        stream = open_tunnel(self, stream_id, head)
        if stream is not None:
            self.fresh = stream

    def promise(self, sender: Sender, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        push.promise(self, sender, authority, path, headers)  # type: ignore[arg-type]  # senders are its streams

    def new_stream(self, stream_id: int, window: int) -> HTTP2Stream:
        stream: HTTP2Stream = HTTP2Stream.__new__(HTTP2Stream)
        stream.open(self, stream_id, self.first_window, window)
        self.streams[stream_id] = stream
        return stream

    def refuse_request(self, stream_id: int, head: HTTP2Head, verdict: int) -> None:
        """A request that is not in order: malformed ones reset their stream, others are answered."""
        self.answered = 0
        if verdict > 0:
            self.answer_early(stream_id, head, verdict, head.complete)
            return
        self.context.refused(self, head, 400, "malformed request")
        self.refuse_stream(stream_id, PROTOCOL_ERROR)

    def refuse_stream(self, stream_id: int, code: int) -> None:
        """Resets a stream that was never opened here."""
        self.writer.reset(stream_id, code)
        self.remember_cut(stream_id)
        self.control_written()
        self.spend(RESETS)

    def trailers_received(self, stream: Any, parser: FrameParser) -> None:
        """The second HEADERS of a stream."""
        if stream.remote_done:
            self.fault(stream, STREAM_CLOSED)
            return
        if stream.lingering and parser.end_stream:
            stream.rest_received(0, True)
            return
        trailers = None if stream.connect else judge_trailers(parser.fields or [])
        if not parser.end_stream or trailers is None or parser.oversize:
            self.fault(stream, PROTOCOL_ERROR)
            return
        if stream.content_length >= 0 and stream.received != stream.content_length:
            self.fault(stream, PROTOCOL_ERROR)
            return
        stream.stream.trailers_received(trailers)
        self.request_complete(stream, b"")

    def data_frame(self, parser: FrameParser) -> None:
        """DATA (RFC 9113 sections 6.1 and 6.9): counted for both windows, whatever becomes of it."""
        length = parser.length
        stream_id = parser.stream_id
        self.recv_window -= length
        self.body_octets += length
        if self.recv_window < 0:
            self.fail(FLOW_CONTROL_ERROR, "more DATA than the connection's window")
            return
        self.unacked += length
        if self.unacked * 2 >= self.context.limits.h2_connection_window:
            # Windows of streams bound what is kept; the connection's only says that it was read.
            self.writer.window_update(0, self.unacked)
            self.recv_window += self.unacked
            self.unacked = 0
            self.written()
        stream = self.streams.get(stream_id)
        if stream is None:
            self.data_for_nobody(stream_id)
        else:
            self.body_received(stream, parser)

    def data_for_nobody(self, stream_id: int) -> None:
        """DATA on a stream that is not open."""
        if not stream_id & 1 or stream_id > self.last_id:
            if not self.final:
                self.fail(PROTOCOL_ERROR, "DATA on an idle stream")
        elif stream_id not in self.cut:
            self.refuse_stream(stream_id, STREAM_CLOSED)

    def body_received(self, stream: Any, parser: FrameParser) -> None:
        """A piece of a request's body."""
        if stream.remote_done:
            self.fault(stream, STREAM_CLOSED)
            return
        data = parser.data
        size = len(data)
        stream.recv_window -= parser.length
        if stream.recv_window < 0:
            self.fault(stream, FLOW_CONTROL_ERROR)
            return
        if stream.lingering:
            if not size and not parser.end_stream:
                self.spend(EMPTY)
            stream.rest_received(parser.length, parser.end_stream)
            return
        if size < parser.length:
            stream.taken(stream.stream, parser.length - size)
        self.piece_received(stream, data, parser.end_stream)

    # -- other frames

    def other_frame(self, parser: FrameParser, event: int) -> None:
        """What does not come with every request."""
        if event == RESET:
            self.stream_reset(parser.stream_id)
        elif event == SETTINGS:
            self.settings_received(parser.settings)
        elif event == SETTINGS_ACK:
            if self.settings_at:
                self.settings_at = 0.0
            else:
                self.spend(GLITCHES)
        elif event == PING:
            self.writer.ping(parser.data, True)
            self.control_written()
            self.spend(CONTROLS)
        elif event == PING_ACK:
            if parser.data == DRAIN_PING and self.drain_at:
                self.finish_drain()
            elif parser.data != ALIVE_PING:
                self.spend(GLITCHES)
        elif event == GOAWAY:
            self.peer_leaving = True
            self.spend(GLITCHES)
            self.close_if_done()
        elif event == PRIORITY_UPDATE:
            self.priority_update(parser.stream_id, parser.data)
        elif event == STREAM_ERROR:
            self.frame_fault(parser)
        elif event == ERROR:
            self.fail(parser.error_code, parser.reason)
        else:  # PRIORITY, which RFC 9113 deprecates, and unknown types
            self.spend(GLITCHES)

    def stream_reset(self, stream_id: int) -> None:
        """RST_STREAM of the peer."""
        if self.context.counters is not None:
            self.context.counters.count("resets")
        stream: Any = self.streams.get(stream_id)
        if stream is None:
            if not stream_id & 1 and stream_id < self.next_push:
                return
            if not stream_id & 1 or stream_id > self.last_id:
                self.fail(PROTOCOL_ERROR, "RST_STREAM on an idle stream")
            else:
                self.spend(GLITCHES)
            return
        early = not stream.head_sent and stream_id & 1 != 0
        self.withdraw(stream)
        self.drop(stream)
        if early:
            self.spend(RESETS)
        self.close_if_done()

    def withdraw(self, stream: HTTP2Stream) -> None:
        """If its application has not started, it will not."""
        if self.fresh is stream:
            self.fresh = None

    def settings_received(self, settings: dict[int, int]) -> None:
        """SETTINGS (RFC 9113 section 6.5.3): applied, then acknowledged."""
        if self.awaits_preface:
            self.awaits_preface = False
            self.send_window += FIRST_WINDOW
        if self.take_settings(settings):
            self.writer.settings_ack()
            self.control_written()
            self.spend(CONTROLS)
            self.pump()

    def take_settings(self, settings: dict[int, int]) -> bool:
        """Applies settings. False where that ended the connection."""
        value = settings.get(frames.HEADER_TABLE_SIZE)
        if value is not None:
            self.writer.resize(value)
        value = settings.get(frames.MAX_FRAME_SIZE)
        if value is not None:
            self.writer.max_frame_size = value
        value = settings.get(frames.ENABLE_PUSH)
        if value is not None:
            self.allow_push = value == 1
        value = settings.get(frames.MAX_CONCURRENT_STREAMS)
        if value is not None:
            self.max_pushes = value
        value = settings.get(frames.INITIAL_WINDOW_SIZE)
        return value is None or self.change_windows(value - self.first_window)

    def change_windows(self, delta: int) -> bool:
        """A new initial window changes those of open streams too (RFC 9113 section 6.9.2)."""
        self.first_window += delta
        for stream in self.streams.values():
            if stream.send_window + delta > LARGEST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "a stream's window is too large")
                return False
            self.widen(stream, delta)
        return True

    def widen(self, stream: Any, delta: int) -> None:
        """The peer takes more of a stream, or less."""
        stream.send_window += delta
        if stream.send_window <= 0:
            self.dequeue(stream)
        elif stream.pending:
            self.enqueue(stream)

    def window_update(self, stream_id: int, increment: int) -> None:
        """WINDOW_UPDATE (RFC 9113 section 6.9.1)."""
        self.spend(UPDATES)
        if stream_id == 0:
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "the connection's window is too large")
            elif self.waiting:
                self.pump()
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id & 1 and stream_id > self.last_id and not self.final:
                self.fail(PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            else:
                self.spend(GLITCHES)
        elif stream.send_window + increment > LARGEST_WINDOW:
            self.fault(stream, FLOW_CONTROL_ERROR)
        else:
            self.widen(stream, increment)
            if stream.pending:
                self.pump()

    def priority_update(self, stream_id: int, value: bytes) -> None:
        """PRIORITY_UPDATE (RFC 9218 section 7.1)."""
        self.spend(GLITCHES)
        stream = self.streams.get(stream_id)
        if stream is not None:
            urgency, incremental = read_priority(value, 3, False)
            queued = stream.queued
            self.dequeue(stream)
            stream.urgency = urgency
            stream.incremental = incremental
            if queued:
                self.enqueue(stream)
        elif stream_id & 1 and stream_id > self.last_id:
            if len(self.priorities) < self.context.limits.h2_max_concurrent_streams:
                self.priorities[stream_id] = value

    def frame_fault(self, parser: FrameParser) -> None:
        """A frame that is wrong for its stream alone."""
        stream = self.streams.get(parser.stream_id)
        if stream is not None:
            self.fault(stream, parser.value)
        elif parser.stream_id & 1 and parser.stream_id > self.last_id and parser.value != FRAME_SIZE_ERROR:
            self.fail(PROTOCOL_ERROR, "a frame on an idle stream")
        else:
            self.spend(GLITCHES)
