"""The life of an HTTP/2 connection (RFC 9113 sections 5.4, 6.8 and 9.1): what it waits for, and how it ends."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.mux.budgets import (
    ALIVE_PING,
    CANCEL_AFTER,
    CONTROL_FRAMES,
    CUT,
    DRAIN_PING,
    DRAIN_WAIT,
    LARGEST_ID,
    RESETS,
    SETTINGS_WAIT,
)
from hypercorn.protocol.mux.connection import Multiplexer, Sender
from hypercorn.protocol.pace import Pace, pace_of_output
from hypercorn.protocol.ports import Context, Transport
from hypercorn.wire.http2_tables import ENHANCE_YOUR_CALM, NO_ERROR, PROTOCOL_ERROR, SETTINGS_TIMEOUT


class HTTP2Life(Multiplexer):
    """An HTTP/2 connection without its frames."""

    __slots__ = (
        "calls_due",
        "controls",
        "cut",
        "cut_order",
        "drain_at",
        "draining",
        "eof",
        "final",
        "frames_seen",
        "grown",
        "heard_at",
        "idle_at",
        "last_id",
        "lingering",
        "next_push",
        "partial_at",
        "peer_leaving",
        "pinged_at",
        "pushes",
        "recv_window",
        "settings_at",
        "settled",
        "unacked",
        "unread",
        "write_pace",
    )

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        now = context.runtime.now()
        self.recv_window = context.limits.h2_connection_window
        self.unacked = 0  # octets received and not given back to the connection's window
        self.grown = 0  # octets by which windows of streams have grown
        self.last_id = 0  # highest stream that the peer opened
        self.cut: set[int] = set()
        self.cut_order: list[int] = []
        self.settled = False  # the peer's first frames came
        self.calls_due: list[tuple[float, Any]] = []
        self.next_push = 2
        self.pushes = 0  # pushed streams that are open
        self.controls = 0  # frames written while the peer does not read
        self.eof = False
        self.lingering = False
        self.unread = 0
        self.draining = False  # the first GOAWAY was sent
        self.final = False  # ... and the second: later streams are not served
        self.peer_leaving = False
        # times; 0: not waited for
        self.settings_at = now
        self.partial_at = now
        self.idle_at = now  # -1: since the turn that now ends
        self.drain_at = 0.0
        self.heard_at = now
        self.pinged_at = 0.0
        self.frames_seen = 0
        self.write_pace: Pace | None = None
        self.wait_until(now + min(context.limits.header_timeout, context.limits.h2_ping_interval))

    # -- from the transport

    def eof_received(self) -> None:
        self.eof = True
        if self.lost:
            return
        if self.lingering or not self.streams:
            self.close()
            return
        for stream in list(self.streams.values()):
            self.peer_ended(stream)

    def peer_ended(self, stream: Any) -> None:
        """The peer sends no more, but may read."""
        if stream.remote_done:
            if stream.stream is not None and not stream.local_done:
                stream.stream.peer_closed()
        else:
            self.drop(stream)
            self.close_if_done()

    def connection_lost(self) -> None:
        self.lost = True
        self.deadline = 0.0
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            self.forget(stream)

    def forget(self, stream: Any) -> None:
        """The peer of a stream is gone."""
        exchange = stream.stream
        stream.over = True
        if not stream.id & 1:
            self.pushes -= 1
        stream.stream = None
        stream.pieces = None
        stream.pending = 0
        if exchange is not None and not stream.local_done:
            exchange.disconnected(0)

    def pause_writing(self) -> None:
        self.writing_paused = True
        self.controls = 0
        self.wait_for_output()

    def wait_for_output(self) -> None:
        """Sets the deadline for the peer to take what waits. The rate is for all of the connection's output, whose
        octets do not say whose they are: where there are WebSockets, there is none."""
        now = self.context.runtime.now()
        self.unsent = self.transport.unsent()
        pace = self.write_pace
        if pace is None:
            pace = self.write_pace = pace_of_output(self.context)
        pace.wait(now)
        if self.unsent > 0 and not self.carries_sockets():
            pace.run(now)
        if pace.until():
            self.wait_until(pace.until())

    def carries_sockets(self) -> bool:
        """True where one of the streams is a WebSocket."""
        for stream in self.streams.values():
            one: Any = stream
            if one.socket is not None:
                return True
        return False

    def resume_writing(self) -> None:
        self.writing_paused = False
        self.write_pace = None
        if self.lost:
            return
        self.pump()
        for stream in list(self.streams.values()):
            self.wake_writer(stream)

    def wake_writer(self, stream: Any) -> None:
        """The transport takes more: so may the application send more."""
        if stream.stream is not None and not stream.blocked:
            stream.stream.writable()

    def turn_ended(self) -> None:
        self.flush_frames()
        if self.idle_at < 0 and not self.streams and not self.lost and not self.lingering:
            self.idle_at = self.context.runtime.now()
            self.wait_until(self.idle_at + self.idle_limit())

    def idle_limit(self) -> float:
        """How long the connection may be without a stream: until the first, as long as a first head may take."""
        limits = self.context.limits
        return limits.keep_alive_timeout if self.last_id else max(limits.keep_alive_timeout, limits.header_timeout)

    def drop(self, stream: Any) -> None:
        """A stream is over for its peer. A call that goes on is cancelled soon, and counts until it has ended."""
        self.streams.pop(stream.id, None)
        self.idle_at = -1.0
        self.dequeue(stream)
        self.shrink(stream)
        answered = stream.local_done
        self.forget(stream)
        if stream.calling and not answered:
            stream.zombie = True
            self.zombies += 1
            if stream.socket is not None:
                return  # it is told by a message, as over HTTP/1.1
            runtime = self.context.runtime
            if not self.calls_due:
                runtime.call_at(runtime.now() + CANCEL_AFTER, self.cancel_calls)
            self.calls_due.append((runtime.now() + CANCEL_AFTER, stream))

    def cancel_calls(self) -> None:
        """Cancels the calls whose time is over."""
        runtime = self.context.runtime
        now = runtime.now()
        due = self.calls_due
        self.calls_due = []
        for when, stream in due:
            if not stream.calling:
                continue
            if when > now:
                self.calls_due.append((when, stream))
            elif stream.call is not None:
                runtime.cancel(stream.call)
        if self.calls_due:
            runtime.call_at(self.calls_due[0][0], self.cancel_calls)

    def input_used(self, partial: bool, frames: int) -> None:
        """All that came was used. `partial`: the peer is in the middle of something; `frames`: how many came."""
        if self.lingering:
            return  # what comes now is dropped, and the time for that goes on
        now = self.context.runtime.now()
        self.heard_at = now
        self.pinged_at = 0.0
        if not partial:
            self.settled = True
            self.partial_at = 0.0
        elif not self.partial_at or frames != self.frames_seen:
            self.partial_at = now
            self.wait_until(now + self.context.limits.header_timeout)
        self.frames_seen = frames
        if self.idle_at > 0 and not self.streams:
            self.wait_until(self.idle_at + self.idle_limit())

    # -- ends

    def stream_ended(self, sender: Sender) -> None:
        stream: Any = sender
        stream.over = True
        if not stream.id & 1:
            self.pushes -= 1
        stream.stream = None
        self.streams.pop(stream.id, None)
        self.idle_at = -1.0
        self.shrink(stream)
        if not self.streams and (self.peer_leaving or self.final or self.eof):
            self.close_if_done()

    def reset_stream(self, sender: Sender, code: int) -> None:
        stream: Any = sender
        if stream.over:
            return
        self.writer.reset(stream.id, code)
        self.remember_cut(stream.id)
        self.drop(stream)
        self.control_written()
        self.close_if_done()

    def keep_reading(self, sender: Sender) -> None:
        stream: Any = sender
        if not stream.linger():
            self.reset_stream(stream, NO_ERROR)

    def fault(self, stream: Any, code: int) -> None:
        """The peer broke the protocol on one stream."""
        self.reset_stream(stream, code)
        self.spend(RESETS)

    def remember_cut(self, stream_id: int) -> None:
        """What was sent before the peer saw the reset is dropped without a word."""
        self.cut.add(stream_id)
        self.cut_order.append(stream_id)
        if len(self.cut_order) > 2 * CUT:
            self.cut.difference_update(self.cut_order[:CUT])
            del self.cut_order[:CUT]

    def grow(self, sender: Sender) -> int:
        stream: Any = sender
        more = min(stream.recv_size, self.context.limits.h2_max_stream_window - stream.recv_size)
        more = min(more, self.context.limits.h2_connection_window - self.grown)
        if more <= 0:
            return 0
        self.grown += more
        return int(more)

    def shrink(self, stream: Any) -> None:
        """What a stream's window had grown by is there for others."""
        if stream.recv_size > self.context.limits.h2_stream_window:
            self.grown -= stream.recv_size - self.context.limits.h2_stream_window

    def spend(self, kind: int) -> None:
        """Counts something that costs more to serve than to send."""
        if not self.allowance.spend(kind) and not self.lost and not self.lingering:
            self.fail(ENHANCE_YOUR_CALM, "too many frames of no use")

    def control_written(self) -> None:
        """Frames that answer frames are bounded, for a peer that does not read may still send."""
        self.written()
        if self.writing_paused:
            self.controls += 1
            if self.controls > CONTROL_FRAMES:
                self.abort()

    def fail(self, code: int, reason: str) -> None:
        """The connection cannot go on (RFC 9113 section 5.4.1)."""
        if self.lost or self.lingering:
            return
        self.context.refused(self, None, 400, reason)
        self.writer.goaway(self.last_id, code)
        self.flush_frames()
        self.lingering = True
        for stream in list(self.streams.values()):
            self.drop(stream)
        if self.eof:
            self.close()
            return
        self.transport.write_eof()
        self.unread = 0
        self.deadline = 0.0
        self.wait_until(self.context.runtime.now() + self.context.limits.linger_timeout)

    def drain(self) -> None:
        """Takes no more requests than those on their way: GOAWAY in two steps (RFC 9113 section 6.8)."""
        if self.draining or self.lost or self.lingering:
            return
        self.draining = True
        self.writer.goaway(LARGEST_ID, NO_ERROR)
        self.writer.ping(DRAIN_PING, False)
        self.drain_at = self.context.runtime.now() + DRAIN_WAIT
        self.wait_until(self.drain_at)
        self.written()

    def finish_drain(self) -> None:
        """The peer knows: what it opens from now on it can repeat elsewhere."""
        self.drain_at = 0.0
        if not self.final:
            self.final = True
            self.writer.goaway(self.last_id, NO_ERROR)
            self.written()
        self.close_if_done()

    def close_if_done(self) -> None:
        """Closes when nothing is left to do."""
        if not self.streams and (self.peer_leaving or self.final or self.eof):
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is sent first."""
        if self.lost:
            return
        if not self.lingering and not self.final:
            self.final = True
            self.writer.goaway(self.last_id, NO_ERROR)
        self.flush_frames()
        self.lost = True
        self.deadline = 0.0
        self.transport.close()
        self.wait_for_output()

    # -- from the runtime

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.write_pace is not None:
            self.check_progress(self.write_pace, now)
        if self.lost:
            return
        if self.lingering:
            self.close()
            return
        self.check_peer(now)
        for stream in list(self.streams.values()):
            waiting: Any = stream
            if waiting.socket is not None:
                waiting = waiting.socket
            if waiting.deadline:
                if waiting.deadline <= now:
                    waiting.expired(now)
                if waiting.deadline and not self.lost:
                    self.wait_until(waiting.deadline)

    def check_progress(self, pace: Pace, now: float) -> None:
        """Has the peer taken anything since the output piled up, and enough?"""
        if 0 < pace.until() <= now:
            left = self.transport.unsent()
            taken = self.unsent - left
            if pace.late_with(left, taken, now):
                self.abort()
                return
            if taken > 0:
                self.unsent = left
        if pace.until():
            self.wait_until(pace.until())

    def check_peer(self, now: float) -> None:
        """Whatever the connection as a whole waits for."""
        context = self.context
        if self.partial_at:
            if now >= self.partial_at + context.limits.header_timeout:
                self.fail(PROTOCOL_ERROR, "a frame did not arrive in time")
                return
            self.wait_until(self.partial_at + context.limits.header_timeout)
        if self.settings_at and self.settled:
            if now >= self.settings_at + SETTINGS_WAIT:
                self.fail(SETTINGS_TIMEOUT, "the settings were not acknowledged")
                return
            self.wait_until(self.settings_at + SETTINGS_WAIT)
        if self.drain_at:
            if now >= self.drain_at:
                self.finish_drain()
            else:
                self.wait_until(self.drain_at)
        if self.lost:
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
        elif now >= self.heard_at + context.limits.h2_ping_interval:
            self.pinged_at = now
            self.writer.ping(ALIVE_PING, False)
            self.written()
            self.wait_until(now + context.limits.h2_ping_timeout)
        else:
            self.wait_until(self.heard_at + context.limits.h2_ping_interval)

    def shutdown(self) -> None:
        if (
            self.streams
            or self.idle_at < 0
            or self.context.runtime.now() - self.idle_at < self.context.limits.idle_grace
        ):
            self.drain()
            for stream in list(self.streams.values()):
                one: Any = stream
                one.shutdown()
        elif not self.lingering:
            self.close()

    def notify_streams(self) -> None:
        streams: list[Any] = list(self.streams.values())
        for stream in streams:
            if stream.stream is not None and stream.remote_done:
                stream.stream.server_leaves()

    def abort(self) -> None:
        self.lost = True
        self.deadline = 0.0
        self.transport.abort()
