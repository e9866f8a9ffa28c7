"""HTTP/2 on one connection (RFC 9113): many streams, each an exchange, over one order of bytes.

The parser says what a frame is; this machine says what it means, what the connection waits for, and how it ends.
Faults of a stream reset the stream, faults of the connection end it with GOAWAY. What costs the server more than its
peer is counted (`mux.budgets`), and a stream that was reset counts as open until its application call has ended.

`mux.states` has the states of the connection; GOAWAY in two steps (section 6.8) takes it from SERVING to LEAVING.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.objects import same_text
from hypercorn.protocol.http2.push import Pushes, promised_request
from hypercorn.protocol.http2.stream import HTTP2Stream
from hypercorn.protocol.mux.budgets import (
    ALIVE_PING,
    CONTROL_FRAMES,
    CONTROLS,
    DRAIN_PING,
    DRAIN_SECONDS,
    EMPTY,
    GATHER_BYTES,
    GLITCHES,
    LARGEST_ID,
    LARGEST_WINDOW,
    LINGER_BYTES,
    REMEMBERED_RESETS,
    RESETS,
    SETTINGS_SECONDS,
    UPDATES,
)
from hypercorn.protocol.mux.connection import ErrorCodes, Multiplexer
from hypercorn.protocol.mux.states import (
    CLOSED,
    CONNECTION,
    DISCARDING,
    DRAINING,
    ENDED,
    LEAVING,
    LINGERING,
    NO_HEAD,
    OPEN,
    RESERVED,
    SERVING,
    STREAM,
    TUNNEL,
)
from hypercorn.protocol.mux.stream import pump
from hypercorn.protocol.ports import Connection, Context, Transport
from hypercorn.protocol.progress import ProgressTimer, timer_of_output
from hypercorn.protocol.websocket.over_stream import open_tunnel
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
    CANCEL,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOOD,
    INTERNAL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
)
from hypercorn.wire.http2_writer import FrameWriter

FIRST_WINDOW_BYTES = 65535  # octets of DATA that a peer takes unasked on a whole connection (RFC 9113 section 6.9.2)
CODES = ErrorCodes(
    none=NO_ERROR,
    malformed=PROTOCOL_ERROR,
    internal=INTERNAL_ERROR,
    cancelled=CANCEL,
    excessive=ENHANCE_YOUR_CALM,
)


class HTTP2Connection(Multiplexer):
    """The HTTP/2 state of one transport."""

    __slots__ = (
        "advancing",
        "eof",
        "first_window",
        "frames_held",
        "frames_seen",
        "last_id",
        "parser",
        "partial_at",
        "peer_leaving",
        "pushes",
        "queued_controls",
        "recv_window",
        "requests",
        "reset_ids",
        "reset_order",
        "settings_at",
        "unacked",
        "unread",
        "unsent",
        "unstarted",
        "upgrade_request",
        "withheld",
        "write_timer",
        "writer",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context, CODES)
        transport.scope_template = None  # it may be HTTP/1.1's
        limits = context.limits
        now = context.runtime.now()
        # what comes in
        self.parser = FrameParser(
            limits.h2_max_inbound_frame_size, limits.h2_max_header_list_size, limits.max_header_count
        )
        self.advancing = False
        self.frames_held = False  # frames wait in the parser for another turn
        self.recv_window = limits.h2_connection_window
        self.unacked = 0  # octets received and not given back to the connection's window
        self.unread = 0  # octets that were dropped
        self.frames_seen = 0
        self.eof = False
        self.peer_leaving = False  # it has sent GOAWAY
        # streams
        self.upgrade_request: tuple[HTTP2Head, dict[int, int]] | None = (
            None  # upgraded: the head of the request, and the peer's settings
        )
        self.unstarted: HTTP2Stream | None = None  # its application starts with the next event
        self.requests = 0
        self.last_id = 0  # highest stream that the peer opened
        self.reset_ids: set[int] = set()  # streams that the server has reset lately
        self.reset_order: list[int] = []
        self.pushes = Pushes()
        # what goes out
        self.writer = FrameWriter()
        self.first_window = FIRST_WINDOW_BYTES  # of the peer's streams: what it takes from each unasked
        self.withheld = 0  # upgraded: octets that do not leave before the client has shown that it speaks HTTP/2
        self.queued_controls = 0  # frames written while the peer does not read
        self.unsent = 0  # octets that the transport had left at the last look, and what was added since
        self.write_timer: ProgressTimer | None = None
        # times; 0: not waited for
        self.settings_at = now
        self.partial_at = now
        self.wait_until(now + min(limits.header_timeout, limits.h2_ping_interval))
        self.send_preface()

    def take_over(self, rest: bytes) -> None:
        if self.upgrade_request is not None:
            head, settings = self.upgrade_request
            self.upgrade_request = None
            self.upgraded(head, settings)
        Multiplexer.take_over(self, rest)  # super() fails in a compiled method that overrides a C one

    def upgraded(self, head: HTTP2Head, settings: dict[int, int]) -> None:
        """Goes on from HTTP/1.1, whose request is stream 1 (RFC 7540 section 3.2)."""
        self.take_settings(settings)
        self.withheld = FIRST_WINDOW_BYTES
        self.send_window -= FIRST_WINDOW_BYTES
        self.requests = 1
        self.last_id = 1
        stream = self.open_stream(1, head)
        stream.exchange = self.context.open_http(stream, head)
        stream.begin_call()

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
        if self.state >= LINGERING:
            self.unread += len(data)
            if self.state == LINGERING and self.unread > LINGER_BYTES:
                self.close()
            return
        self.parser.feed(data)
        if not self.frames_held:
            self.advance()

    def turn_ended(self) -> None:
        if self.frames_held and not self.transport.turn_is_over():
            self.frames_held = False
            self.transport.resume_reading()
            self.advance()
        self.flush_frames()
        if self.idle_at < 0 and not self.streams and self.state < LINGERING:
            self.idle_at = self.context.runtime.now()
            self.wait_until(self.idle_at + self.idle_limit())

    def advance(self) -> None:
        """Takes every frame at hand, for as long as a turn may last."""
        if self.advancing:
            return
        self.advancing = True
        parser = self.parser
        while self.state < LINGERING:
            if self.transport.turn_is_over():
                self.hold_frames()
                break
            event = parser.next_event()
            unstarted = self.unstarted
            if unstarted is not None and event != RESET and (event != DATA or parser.stream_id != unstarted.id):
                self.unstarted = None
                unstarted.begin_call()
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
        if not self.frames_held:
            self.input_used(parser.partial, parser.frames)

    def hold_frames(self) -> None:
        """Keeps the remaining frames for another turn, as the applications' steps of this one took long."""
        self.frames_held = True
        self.transport.pause_reading()
        self.transport.turn_soon()

    def input_used(self, partial: bool, frames: int) -> None:
        """Sets the deadlines once all input was used. `partial`: a frame has come in part; `frames`: their number."""
        if self.state == LINGERING:
            return  # what comes now is dropped, and the time for that goes on
        now = self.context.runtime.now()
        self.received_at = now
        self.pinged_at = 0.0
        if not partial:
            self.partial_at = 0.0
        elif not self.partial_at or frames != self.frames_seen:
            self.partial_at = now
            self.wait_until(now + self.context.limits.header_timeout)
        self.frames_seen = frames
        if self.idle_at > 0 and not self.streams:
            self.wait_until(self.idle_at + self.idle_limit())

    def eof_received(self) -> None:
        self.eof = True
        if self.state == ENDED:
            return
        if self.state == LINGERING or not self.streams:
            self.close()
            return
        for stream in list(self.streams.values()):
            stream.peer_ended()

    def close_if_done(self) -> None:
        if not self.streams and (self.peer_leaving or self.state == LEAVING or self.eof):
            self.close()

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
            if stream_id not in self.reset_ids:
                self.fail(STREAM_CLOSED, "HEADERS on a closed stream")
        elif self.state < LEAVING:
            self.last_id = stream_id
            self.new_request(stream_id, parser)

    def new_request(self, stream_id: int, parser: FrameParser) -> None:
        """Opens a stream, if its request is in order and there is room for it."""
        context = self.context
        self.requests += 1
        if self.requests >= context.limits.keep_alive_max_requests or stream_id > LARGEST_ID - 2:
            self.drain()
        if len(self.streams) - self.pushes.open + self.orphans.count >= context.limits.h2_max_concurrent_streams:
            self.refuse_stream(stream_id, REFUSED_STREAM)
            return
        head: HTTP2Head = HTTP2Head.__new__(HTTP2Head)
        head.clear()
        if parser.oversize:
            self.answer_early(stream_id, head, 431, parser.end_stream)
            return
        verdict = judge_request(parser.fields or [], head)
        head.complete = parser.end_stream
        head.may_push = self.pushes.allowed and len(head.host) > 0  # what is promised needs an authority
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
        stream.exchange = context.open_http(stream, head)
        self.unstarted = stream

    def new_websocket(self, stream_id: int, head: HTTP2Head) -> None:
        """An extended CONNECT (RFC 8441): a WebSocket's handshake, or a protocol that is not known."""
        stream = open_tunnel(self, stream_id, head)
        if stream is not None:
            self.unstarted = stream

    def open_stream(self, stream_id: int, head: HTTP2Head) -> HTTP2Stream:
        """Opens the stream of a request."""
        stream = self.new_stream(stream_id, self.context.limits.h2_stream_window)
        stream.take_head(head)
        return stream

    def answer_early(self, stream_id: int, head: HTTP2Head, status: int, complete: bool, reason: str = "") -> None:
        """Answers a request that no application sees."""
        self.new_stream(stream_id, self.context.limits.h2_stream_window).answer_early(head, status, complete, reason)

    def new_stream(self, stream_id: int, window: int) -> HTTP2Stream:
        """A stream, of which the peer may send `window` octets."""
        stream: HTTP2Stream = HTTP2Stream.__new__(HTTP2Stream)
        stream.writer = self.writer
        stream.open(self, stream_id, self.first_window, window)
        self.streams[stream_id] = stream
        return stream

    def promise(self, stream: Connection, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Announces a request for `path` on the stream and serves it on one of its own (RFC 9113 section 8.4). Where
        the client takes no more pushes, or none now, this does nothing."""
        parent: Any = stream
        context = self.context
        head, lines = promised_request(context.fields, self.transport.scheme, authority, path, headers)
        pushes = self.pushes
        limit = min(pushes.limit, context.limits.h2_max_concurrent_streams)
        if not pushes.allowed or parent.state > OPEN or not parent.id & 1:
            return
        if self.state != SERVING or self.peer_leaving or pushes.open >= limit or pushes.next_id >= LARGEST_ID:
            return
        promised = pushes.next_id
        pushes.next_id += 2
        pushes.open += 1
        self.writer.push_promise(parent.id, promised, lines)
        self.written()
        pushed = self.new_stream(promised, 0)
        pushed.state = STREAM.change(pushed.state, RESERVED)
        pushed.exchange = context.open_http(pushed, head)
        self.transport.call_soon(pushed.begin_call)

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
        self.remember_reset(stream_id)
        self.control_written()
        self.spend(RESETS)

    def trailers_received(self, stream: HTTP2Stream, parser: FrameParser) -> None:
        """The second HEADERS of a stream."""
        if stream.state < OPEN:
            self.fault(stream, STREAM_CLOSED)
            return
        if stream.state == DISCARDING and parser.end_stream:
            stream.rest_received(0, True)
            return
        trailers = None if stream.request == TUNNEL else judge_trailers(parser.fields or [])
        if not parser.end_stream or trailers is None or parser.oversize:
            self.fault(stream, PROTOCOL_ERROR)
            return
        if stream.content_length >= 0 and stream.received != stream.content_length:
            self.fault(stream, PROTOCOL_ERROR)
            return
        exchange = stream.exchange
        if exchange is not None:
            exchange.trailers_received(trailers)
        stream.request_complete(b"")

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
            self.data_on_closed_stream(stream_id)
        else:
            self.body_received(stream, parser)

    def data_on_closed_stream(self, stream_id: int) -> None:
        """DATA on a stream that is not open."""
        if not stream_id & 1 or stream_id > self.last_id:
            if self.state < LEAVING:
                self.fail(PROTOCOL_ERROR, "DATA on an idle stream")
        elif stream_id not in self.reset_ids:
            self.refuse_stream(stream_id, STREAM_CLOSED)

    def body_received(self, stream: HTTP2Stream, parser: FrameParser) -> None:
        """A piece of a request's body."""
        if stream.state < OPEN:
            self.fault(stream, STREAM_CLOSED)
            return
        data = parser.data
        size = len(data)
        stream.recv_window -= parser.length
        if stream.recv_window < 0:
            self.fault(stream, FLOW_CONTROL_ERROR)
            return
        if stream.state == DISCARDING:
            if not size and not parser.end_stream:
                self.spend(EMPTY)
            stream.rest_received(parser.length, parser.end_stream)
            return
        if size < parser.length:
            exchange: Any = stream.exchange
            stream.body_consumed(exchange, parser.length - size)
        stream.piece_received(data, parser.end_stream)

    # -- other frames

    def other_frame(self, parser: FrameParser, event: int) -> None:
        """Takes a frame that does not come with every request."""
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
        if self.context.records.counters is not None:
            self.context.records.counters.count("resets")
        stream: HTTP2Stream | None = self.streams.get(stream_id)
        if stream is None:
            if not stream_id & 1 and stream_id < self.pushes.next_id:
                return
            if not stream_id & 1 or stream_id > self.last_id:
                self.fail(PROTOCOL_ERROR, "RST_STREAM on an idle stream")
            else:
                self.spend(GLITCHES)
            return
        early = stream.progress == NO_HEAD and stream_id & 1 != 0
        self.cancel_start(stream)
        stream.drop()
        if early:
            self.spend(RESETS)
        self.close_if_done()

    def cancel_start(self, stream: Connection) -> None:
        if self.unstarted is stream:
            self.unstarted = None

    def settings_received(self, settings: dict[int, int]) -> None:
        """SETTINGS (RFC 9113 section 6.5.3): applied, then acknowledged."""
        self.send_window += self.withheld
        self.withheld = 0
        if self.take_settings(settings):
            self.writer.settings_ack()
            self.control_written()
            self.spend(CONTROLS)
            pump(self)

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
            self.pushes.allowed = value == 1
        value = settings.get(frames.MAX_CONCURRENT_STREAMS)
        if value is not None:
            self.pushes.limit = value
        value = settings.get(frames.INITIAL_WINDOW_SIZE)
        return value is None or self.change_windows(value - self.first_window)

    def change_windows(self, delta: int) -> bool:
        """A new initial window changes those of open streams too (RFC 9113 section 6.9.2)."""
        self.first_window += delta
        for stream in self.streams.values():
            if stream.send_window + delta > LARGEST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "a stream's window is too large")
                return False
            stream.change_window(delta)
        return True

    def window_update(self, stream_id: int, increment: int) -> None:
        """WINDOW_UPDATE (RFC 9113 section 6.9.1)."""
        self.spend(UPDATES)
        if stream_id == 0:
            self.send_window += increment
            if self.send_window > LARGEST_WINDOW:
                self.fail(FLOW_CONTROL_ERROR, "the connection's window is too large")
            else:
                pump(self)
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            if stream_id & 1 and stream_id > self.last_id and self.state < LEAVING:
                self.fail(PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream")
            else:
                self.spend(GLITCHES)
        elif stream.send_window + increment > LARGEST_WINDOW:
            self.fault(stream, FLOW_CONTROL_ERROR)
        else:
            stream.change_window(increment)
            if stream.pending:
                pump(self)

    def priority_update(self, stream_id: int, value: bytes) -> None:
        """PRIORITY_UPDATE (RFC 9218 section 7.1)."""
        self.spend(GLITCHES)
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.prioritize(value)
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

    # -- output

    def written(self) -> None:
        if len(self.writer.out) >= GATHER_BYTES:
            self.flush_frames()
        else:
            self.transport.end_turn_soon()

    def flush_output(self) -> None:
        self.flush_frames()

    def flush_frames(self) -> None:
        """Hands what was written to the transport."""
        if self.writer.out and self.state != ENDED:
            if self.writing_paused:
                self.unsent += len(self.writer.out)
            self.transport.write(self.writer.take())

    def control_written(self) -> None:
        """Frames that answer frames are bounded, for a peer that does not read may still send."""
        self.written()
        if self.writing_paused:
            self.queued_controls += 1
            if self.queued_controls > CONTROL_FRAMES:
                self.abort()

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.queued_controls = 0
        self.wait_for_output()

    def wait_for_output(self) -> None:
        """Sets the deadline for the peer to take what waits. The rate is for all of the connection's output, whose
        octets do not say whose they are: where there are WebSockets, there is none."""
        now = self.context.runtime.now()
        self.unsent = self.transport.unsent()
        timer = self.write_timer
        if timer is None:
            timer = self.write_timer = timer_of_output(self.context)
        timer.expect_progress(now)
        if self.unsent > 0 and not [stream for stream in self.streams.values() if stream.socket is not None]:
            timer.start_rate(now)
        if timer.deadline():
            self.wait_until(timer.deadline())

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.write_timer = None
        if self.state == ENDED:
            return
        pump(self)
        for stream in list(self.streams.values()):
            stream.wake_writer()

    # -- ends

    def remove(self, stream_id: int) -> None:
        self.streams.pop(stream_id, None)
        self.idle_at = -1.0
        if not stream_id & 1:
            self.pushes.open -= 1

    def reset_stream(self, stream: Connection, code: int) -> None:
        one: Any = stream
        if one.state == CLOSED:
            return
        self.writer.reset(one.id, code)
        self.remember_reset(one.id)
        one.drop()
        self.control_written()
        self.close_if_done()

    def keep_reading(self, stream: Connection) -> None:
        one: Any = stream
        if not one.discard_rest():
            self.reset_stream(one, NO_ERROR)

    def remember_reset(self, stream_id: int) -> None:
        """Remembers a reset stream: frames that the peer sent before it saw the reset are dropped."""
        self.reset_ids.add(stream_id)
        self.reset_order.append(stream_id)
        if len(self.reset_order) > 2 * REMEMBERED_RESETS:
            self.reset_ids.difference_update(self.reset_order[:REMEMBERED_RESETS])
            del self.reset_order[:REMEMBERED_RESETS]

    def fail(self, code: int, reason: str) -> None:
        if self.state >= LINGERING:
            return
        self.context.refused(self, None, 400, reason)
        self.writer.goaway(self.last_id, code)
        self.flush_frames()
        self.state = CONNECTION.change(self.state, LINGERING)
        for stream in list(self.streams.values()):
            stream.drop()
        if self.eof:
            self.close()
            return
        self.transport.write_eof()
        self.unread = 0
        self.deadline = 0.0
        self.wait_until(self.context.runtime.now() + self.context.limits.linger_timeout)

    def drain(self) -> None:
        """Takes no more requests than those on their way: GOAWAY in two steps (RFC 9113 section 6.8)."""
        if self.state != SERVING:
            return
        self.state = CONNECTION.change(self.state, DRAINING)
        self.writer.goaway(LARGEST_ID, NO_ERROR)
        self.writer.ping(DRAIN_PING, False)
        self.drain_at = self.context.runtime.now() + DRAIN_SECONDS
        self.wait_until(self.drain_at)
        self.written()

    def finish_drain(self) -> None:
        """Sends the second GOAWAY: streams that the peer opens from now on it can repeat elsewhere."""
        self.drain_at = 0.0
        if self.state == DRAINING:
            self.state = CONNECTION.change(self.state, LEAVING)
            self.writer.goaway(self.last_id, NO_ERROR)
            self.written()
        self.close_if_done()

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        if self.state == ENDED:
            return
        if self.state < LEAVING:
            self.writer.goaway(self.last_id, NO_ERROR)
        self.flush_frames()
        self.state = CONNECTION.change(self.state, ENDED)
        self.deadline = 0.0
        self.transport.close()
        self.wait_for_output()

    # -- from the runtime

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.write_timer is not None:
            self.check_progress(self.write_timer, now)
        if self.state == ENDED:
            return
        if self.state == LINGERING:
            self.close()
            return
        self.check_peer(now)
        self.check_streams(now)

    def check_progress(self, timer: ProgressTimer, now: float) -> None:
        """Aborts if the peer has taken nothing since the output piled up, or too little."""
        if 0 < timer.deadline() <= now:
            left = self.transport.unsent()
            taken = self.unsent - left
            if timer.is_late_with(left, taken, now):
                self.abort()
                return
            if taken > 0:
                self.unsent = left
        if timer.deadline():
            self.wait_until(timer.deadline())

    def check_peer(self, now: float) -> None:
        """Checks what the connection as a whole waits for."""
        context = self.context
        if self.partial_at:
            if now >= self.partial_at + context.limits.header_timeout:
                self.fail(PROTOCOL_ERROR, "a frame did not arrive in time")
                return
            self.wait_until(self.partial_at + context.limits.header_timeout)
        if self.settings_at and self.parser.settled:
            if now >= self.settings_at + SETTINGS_SECONDS:
                self.fail(SETTINGS_TIMEOUT, "the settings were not acknowledged")
                return
            self.wait_until(self.settings_at + SETTINGS_SECONDS)
        if self.drain_at:
            if now >= self.drain_at:
                self.finish_drain()
            else:
                self.wait_until(self.drain_at)
        if self.state == ENDED:
            return
        if not self.streams:
            if self.idle_at > 0:
                until = self.idle_at + self.idle_limit()
                # A frame that began in time may be a request. What begins later holds nothing up.
                if now < until:
                    self.wait_until(until)
                elif not 0 < self.partial_at <= until:
                    self.close()
                    return
            self.wait_until(now + context.limits.h2_ping_interval)
        else:
            self.check_alive(now)

    def check_alive(self, now: float) -> None:
        """Asks a peer that has been silent for long whether it is there."""
        context = self.context
        if self.pinged_at:
            if now >= self.pinged_at + context.limits.h2_ping_timeout:
                self.abort()
            else:
                self.wait_until(self.pinged_at + context.limits.h2_ping_timeout)
        elif now >= self.received_at + context.limits.h2_ping_interval:
            self.pinged_at = now
            self.writer.ping(ALIVE_PING, False)
            self.written()
            self.wait_until(now + context.limits.h2_ping_timeout)
        else:
            self.wait_until(self.received_at + context.limits.h2_ping_interval)

    def idle_limit(self) -> float:
        """Returns the seconds that the connection may be without a stream, or without its first one."""
        limits = self.context.limits
        return limits.keep_alive_timeout if self.last_id else max(limits.keep_alive_timeout, limits.header_timeout)

    def shutdown(self) -> None:
        if (
            self.streams
            or self.idle_at < 0
            or self.context.runtime.now() - self.idle_at < self.context.limits.idle_grace
        ):
            self.drain()
            self.shutdown_streams()
        elif self.state != LINGERING:
            self.close()

    def abort(self) -> None:
        if self.state != ENDED:
            self.state = CONNECTION.change(self.state, ENDED)
        self.deadline = 0.0
        self.transport.abort()
