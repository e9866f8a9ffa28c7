"""The base of HTTP/2 and HTTP/3 connections, as their streams see them.

A stream (`mux.stream`) knows how a request and its response go on; the connection knows the frames, and when to close.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.protocol.mux.budgets import RESETS, Allowance
from hypercorn.protocol.mux.orphans import OrphanedCalls
from hypercorn.protocol.mux.scheduler import Scheduler
from hypercorn.protocol.mux.states import CONNECTION, ENDED, SERVING
from hypercorn.protocol.ports import Connection, Context, Transport


class ErrorCodes:
    """The codes that the shared part needs, in the words of one protocol (RFC 9113 section 7, RFC 9114 section 8.1)."""

    __slots__ = ("cancelled", "excessive", "internal", "malformed", "none")

    def __init__(self, *, none: int, malformed: int, internal: int, cancelled: int, excessive: int) -> None:
        self.none = none  # nothing is wrong
        self.malformed = malformed  # the message breaks the rules
        self.internal = internal  # a fault of the application or the server
        self.cancelled = cancelled  # the stream is of no use any more
        self.excessive = excessive  # the peer costs too much


class Multiplexer(Connection):
    """A connection of many streams. `codes`: the protocol's."""

    __slots__ = (
        "allowance",
        "body_octets",
        "codes",
        "drain_at",
        "grown",
        "idle_at",
        "orphans",
        "pinged_at",
        "priorities",
        "received_at",
        "scheduler",
        "send_window",
        "state",
        "streams",
        "writing_paused",
    )

    def __init__(self, transport: Transport, context: Context, codes: ErrorCodes) -> None:
        super().__init__(transport, context)
        self.state = SERVING
        self.codes = codes
        self.streams: dict[int, Any] = {}
        self.scheduler = Scheduler()
        self.orphans = OrphanedCalls(context.runtime)
        self.allowance = Allowance(context.runtime, context.limits.h2_max_resets)
        self.priorities: dict[int, bytes] = {}  # of streams that are not open yet
        self.send_window = 65535
        self.writing_paused = False
        self.body_octets = 0  # of DATA, whatever their stream
        self.grown = 0  # octets by which receive windows of streams have grown
        # times; 0: not waited for
        self.idle_at = self.received_at = context.runtime.now()  # idle_at -1: since the turn that now ends
        self.drain_at = 0.0
        self.pinged_at = 0.0

    # -- from the transport and the runtime

    def connection_lost(self) -> None:
        if self.state != ENDED:
            self.state = CONNECTION.change(self.state, ENDED)
        self.deadline = 0.0
        for stream in list(self.streams.values()):
            self.remove(stream.id)
            stream.forget()

    def is_multiplexed(self) -> bool:
        return True

    def check_streams(self, now: float) -> None:
        """Checks the deadlines of the streams, and of the WebSockets on them."""
        for stream in list(self.streams.values()):
            waiting = stream.socket or stream
            if waiting.deadline:
                if waiting.deadline <= now:
                    waiting.expired(now)
                if waiting.deadline and self.state != ENDED:
                    self.wait_until(waiting.deadline)

    def wait_until(self, when: float) -> None:
        """Has the deadlines checked at `when` (seconds of `Runtime.now`), or earlier."""
        if not self.deadline or when < self.deadline:
            self.deadline = when
            if when < self.context.next_sweep:
                self.context.arm(when)

    def shutdown_streams(self) -> None:
        """Tells every stream that the server stops."""
        for stream in list(self.streams.values()):
            stream.shutdown()

    def notify_shutdown(self) -> None:
        for stream in list(self.streams.values()):
            stream.server_stopping()

    # -- from a stream

    def written(self) -> None:
        """Sends the frames that were written when the turn ends, or now if they are many."""
        raise NotImplementedError

    def remove(self, stream_id: int) -> None:
        """Forgets a stream that is closed."""
        self.streams.pop(stream_id, None)
        self.idle_at = -1.0

    def close_if_done(self) -> None:
        """Closes the connection where nothing is left to do."""
        raise NotImplementedError

    def reset_stream(self, stream: Connection, code: int) -> None:
        """Sends RST_STREAM, with one of the protocol's codes, and forgets the stream."""
        raise NotImplementedError

    def fault(self, stream: Connection, code: int) -> None:
        """Resets a stream on which the peer broke the protocol."""
        self.reset_stream(stream, code)
        self.spend(RESETS)

    def keep_reading(self, stream: Connection) -> None:
        """Reads on after a response that was complete before its request."""
        raise NotImplementedError

    def cancel_start(self, stream: Connection) -> None:
        """Keeps the stream's application from starting, if it has not started yet."""
        raise NotImplementedError

    def promise(self, stream: Connection, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Promises a response that the client has not asked for."""
        raise NotImplementedError

    # -- from itself

    def spend(self, kind: int) -> None:
        """Counts something that costs more to serve than to send."""
        if not self.allowance.spend(kind):
            self.fail(self.codes.excessive, "too many frames of no use")

    def fail(self, code: int, reason: str) -> None:
        """Ends the connection, unless it is about to end: the peer broke the protocol (RFC 9113 section 5.4.1)."""
        raise NotImplementedError
