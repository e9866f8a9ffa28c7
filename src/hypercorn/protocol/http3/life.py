"""The life of an HTTP/3 connection: what it sends when, what it waits for, and how it ends (RFC 9114 section 5).

Data goes to QUIC only as far as the congestion window lets it leave, so that urgent streams can still overtake, and
what waits for a peer that does not read stays with the streams, behind which their applications wait.
"""

from __future__ import annotations

from typing import Any

import pylsqpack

from hypercorn.protocol.http3.stream import headers_frame
from hypercorn.protocol.mux.budgets import DRAIN_WAIT, UPDATES, USEFUL
from hypercorn.protocol.mux.connection import ErrorCodes, Multiplexer
from hypercorn.protocol.mux.states import CLOSED, CONNECTION, DRAINING, ENDED, HALF_CLOSED_LOCAL, LEAVING, OPEN, SERVING
from hypercorn.protocol.mux.stream import pump
from hypercorn.protocol.pace import Pace, pace_of_unread
from hypercorn.protocol.ports import Connection, Context
from hypercorn.protocol.quic.connection import ServerConnection
from hypercorn.protocol.quic.transport import Endpoint, QUICTransport
from hypercorn.wire.http3 import (
    F_GOAWAY,
    H3_EXCESSIVE_LOAD,
    H3_INTERNAL_ERROR,
    H3_MESSAGE_ERROR,
    H3_NO_ERROR,
    H3_REQUEST_CANCELLED,
    H3_REQUEST_INCOMPLETE,
    LARGEST_VARINT,
    S_CONTROL,
    S_DECODER,
    S_ENCODER,
    frame,
    varint,
)

HANDSHAKE_WAIT = 10.0  # seconds for a handshake
SLACK = 4096  # octets beyond the congestion window that QUIC is given, so that its packets are full
FED = 32  # streams that are remembered to have given octets to QUIC, before it is asked what became of them
MAX_REQUEST_ID = LARGEST_VARINT - 3  # the highest id of a request's stream
CODES = ErrorCodes(
    none=H3_NO_ERROR,
    malformed=H3_MESSAGE_ERROR,
    internal=H3_INTERNAL_ERROR,
    cancelled=H3_REQUEST_CANCELLED,
    excessive=H3_EXCESSIVE_LOAD,
)


class HTTP3Life(Multiplexer):
    """An HTTP/3 connection without its frames."""

    requests: int  # so far

    def __init__(self, transport: QUICTransport, context: Context, quic: ServerConnection, endpoint: Endpoint) -> None:
        super().__init__(transport, context, CODES)
        self.quic = quic
        self.endpoint = endpoint
        self.pairs = endpoint.pairs
        self.encoder: Any = None  # of field sections, once the handshake is over
        self.established = False
        self.opened_at = context.runtime.now()
        self.feeding: set[int] = set()  # streams of which QUIC may hold octets that were not sent
        self.rests: dict[int, tuple[Pace, bool]] = {}  # requests that go on after their responses: have they credit?
        self.readers: dict[int, Any] = {}  # frames of the streams that the peer has not ended
        self.control_id = self.encoder_id = self.decoder_id = -1
        self.next_id = 0  # requests below this one have begun, but for those in `gaps`
        self.gaps: set[int] = set()
        self.peer_leaving = False
        self.closing = False  # ends once everything was delivered
        self.close_at = 0.0  # ... or then; 0: not waited for
        self.reported: list[tuple[bytes, bytes]] | None = None
        self.own_pairs: list[tuple[bytes, bytes]] = []
        self.send_window = 0
        self.deadline = 0.0
        self.wait_until(self.opened_at + HANDSHAKE_WAIT)

    # -- sending

    def send(self, stream_id: int, data: bytes, end: bool) -> None:
        """Hands octets of a stream to QUIC. They leave when the turn ends."""
        if self.state == ENDED:
            return
        try:
            self.quic.send_stream_data(stream_id, data, end)
        except (RuntimeError, ValueError):
            return  # the peer stopped the stream; the event that says so is on its way
        self.feeding.add(stream_id)
        self.transport.end_turn_soon()

    def head_frame(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> bytes:
        """HEADERS for a stream; what its encoding needs goes to the peer's decoder first."""
        instructions, block = self.encoder.encode(stream_id, fields)
        if instructions:
            self.send(self.encoder_id, instructions, False)
        return headers_frame(block)

    def server_pairs(self, has_date: bool, has_server: bool) -> list[tuple[bytes, bytes]]:
        """The fields that the server adds: an answer over HTTP/3 does not point at HTTP/3."""
        pairs = self.context.server_pairs(has_date, has_server)
        if pairs is not self.reported:
            self.reported = pairs
            self.own_pairs = [
                (name, b"hypercorn-h3") if name == b"server" else (name, value)
                for name, value in pairs
                if name != b"alt-svc"
            ]
        return self.own_pairs

    def open_control(self, settings: bytes) -> None:
        """The server's three streams (RFC 9114 section 6.2, RFC 9204 section 4.2)."""
        quic = self.quic
        self.encoder = pylsqpack.Encoder()
        ids = []
        for kind in (S_CONTROL, S_ENCODER, S_DECODER):
            ids.append(quic.get_next_available_stream_id(is_unidirectional=True))
            self.send(ids[-1], varint(kind) + (settings if kind == S_CONTROL else b""), False)
        self.control_id, self.encoder_id, self.decoder_id = ids

    def turn_ended(self) -> None:
        if self.state == ENDED:
            return
        now = self.context.runtime.now()
        if self.rests:
            self.stop_unread(now)
        if self.idle_at < 0 and not self.streams and not self.rests:
            self.idle_at = now
            self.wait_until(now + self.idle_limit())
        if self.closing:
            self.close_if_done()
        self.transmit(now)

    def hand_over(self) -> None:
        self.transmit(self.context.runtime.now())

    def transmit(self, now: float) -> None:
        """Gives QUIC what may leave now, the most urgent first, and has it sent."""
        if self.quic.opened:
            self.windows_opened()
            if self.state == ENDED:
                return
        if self.scheduler.waiting:
            self.make_room()
            pump(self)
        self.endpoint.transmit(now)
        if self.scheduler.waiting or self.send_window <= 0 or len(self.feeding) > FED:
            self.make_room()

    def make_room(self) -> None:
        """How much QUIC may be given, and how much of each stream that waits."""
        quic = self.quic
        room = quic.room() + max(SLACK, quic.datagram_size)
        for stream_id in list(self.feeding):
            unsent = quic.unsent(stream_id)
            if unsent <= 0:
                self.feeding.discard(stream_id)
            else:
                room -= unsent
        self.send_window = max(0, room)
        for stream in list(self.streams.values()):
            if stream.pending:
                stream.widen(quic.stream_window(stream.id) - stream.send_window)

    def windows_opened(self) -> None:
        """The peer takes more of some streams: those that waited for it go on."""
        quic = self.quic
        opened, quic.opened = quic.opened, set()
        for stream_id in opened:
            stream = self.streams.get(stream_id)
            if stream is not None:
                stream.send_window = quic.stream_window(stream_id)
                if stream.pending and stream.send_window > 0:
                    if stream.send_window < USEFUL:
                        self.spend(UPDATES)
                    stream.enqueue()

    def written(self) -> None:
        self.transport.end_turn_soon()

    def credit(self, stream_id: int, size: int) -> None:
        """Lets the peer send more on a stream."""
        self.quic.credit(stream_id, size)
        self.transport.end_turn_soon()

    def stop_reading(self, stream_id: int, code: int) -> None:
        """Asks the peer not to send the rest of a stream, and forgets what came of it."""
        reader = self.readers.pop(stream_id, None)
        if reader is not None and reader.blocked:
            self.cancel_section(stream_id)
        try:
            self.quic.stop_stream(stream_id, code)
        except ValueError:
            return
        self.transport.end_turn_soon()

    def cancel_section(self, stream_id: int) -> None:
        """A field section will not be decoded (RFC 9204 section 4.4.2)."""
        raise NotImplementedError

    # -- ends of streams

    def reset_stream(self, stream: Connection, code: int) -> None:
        one: Any = stream
        if one.state == CLOSED:
            return
        if code == H3_NO_ERROR and one.state == HALF_CLOSED_LOCAL:
            self.linger(one)
        else:
            self.cut_stream(one.id, code, one.state > OPEN, one.state < OPEN)
        one.drop()
        self.close_if_done()

    def keep_reading(self, stream: Connection) -> None:
        self.reset_stream(stream, H3_NO_ERROR)

    def linger(self, stream: Any) -> None:
        """Reads and drops the rest of a request whose response was sent (RFC 9114 section 4.1.2), as over HTTP/2:
        browsers that are told to stop before they have sent it take the request for failed. Where it is known to be
        longer than `max_unread_body`, the client gets no credit for it, only time to read the response."""
        context = self.context
        limit = context.limits.max_unread_body
        if not limit or not context.limits.linger_timeout:
            self.stop_reading(stream.id, H3_NO_ERROR)
            return
        reader = self.readers.pop(stream.id, None)
        if reader is not None and reader.blocked:
            self.cancel_section(stream.id)
        pace = pace_of_unread(context)
        now = context.runtime.now()
        pace.wait(now)
        pace.run(now)
        self.wait_until(pace.until())
        credited = stream.content_length - stream.received <= limit
        self.rests[stream.id] = (pace, credited)
        if credited:
            self.credit(stream.id, limit)

    def rest_received(self, stream_id: int, size: int) -> None:
        """Octets of a request whose response was sent."""
        if stream_id in self.rests:
            pace, _ = self.rests[stream_id]
            pace.octets += size
            pace.wait(self.context.runtime.now())

    def stop_unread(self, now: float) -> None:
        """Asks for no more of requests that went on for too long, and forgets those that have ended."""
        quic = self.quic
        for stream_id, (pace, credited) in list(self.rests.items()):
            if quic.received(stream_id):
                del self.rests[stream_id]
            elif pace.late(now) or (credited and quic.exhausted(stream_id)):
                del self.rests[stream_id]
                self.stop_reading(stream_id, H3_NO_ERROR)
        if not self.rests:
            self.close_if_done()

    def cut_stream(self, stream_id: int, code: int, local_done: bool, remote_done: bool) -> None:
        """Ends the directions of a stream that have not ended."""
        if not remote_done:
            self.stop_reading(stream_id, code)
        if not local_done and self.state != ENDED:
            try:
                self.quic.reset_stream(stream_id, code)
            except ValueError:
                return
            self.transport.end_turn_soon()

    # -- ends of the connection

    def fail(self, code: int, reason: str) -> None:
        if self.state == ENDED:
            return
        self.context.refused(self, None, 400, reason)
        self.finish(code, reason)

    def drain(self) -> None:
        if self.state != SERVING:
            return
        self.state = CONNECTION.change(self.state, DRAINING)
        if not self.established:
            self.finish_drain()
            return
        self.send(self.control_id, frame(F_GOAWAY, varint(MAX_REQUEST_ID)), False)
        self.drain_at = self.context.runtime.now() + DRAIN_WAIT
        self.wait_until(self.drain_at)

    def finish_drain(self) -> None:
        self.drain_at = 0.0
        if self.state < LEAVING:
            self.state = CONNECTION.change(self.state, LEAVING)
            if self.established:
                self.send(self.control_id, frame(F_GOAWAY, varint(self.next_id)), False)
        self.close_if_done()

    def close_if_done(self) -> None:
        if not self.streams and not self.rests and (self.state >= LEAVING or self.closing):
            self.close()

    def close(self) -> None:
        """Closes politely: what was written is delivered first, as CONNECTION_CLOSE would cut it off."""
        if self.state == ENDED:
            return
        self.closing = True
        if self.established and self.state < LEAVING:
            self.state = CONNECTION.change(self.state, LEAVING)
            self.send(self.control_id, frame(F_GOAWAY, varint(self.next_id)), False)
        if self.quic.delivered():
            self.endpoint.transmit(self.context.runtime.now())  # GOAWAY, which CONNECTION_CLOSE would cut off
            self.finish(H3_NO_ERROR, "")
        elif not self.close_at:
            self.close_at = self.context.runtime.now() + self.context.limits.write_timeout
            self.wait_until(self.close_at)

    def finish(self, code: int, reason: str) -> None:
        """Sends CONNECTION_CLOSE and forgets the streams."""
        if self.state == ENDED:
            return
        self.quic.close(error_code=code, reason_phrase=reason)
        self.endpoint.transmit(self.context.runtime.now())
        self.state = CONNECTION.change(self.state, ENDED)
        self.deadline = 0.0
        self.endpoint.ended()

    def abort(self) -> None:
        self.finish(H3_NO_ERROR if self.context.terminating else H3_INTERNAL_ERROR, "")

    def gone(self) -> None:
        """The peer closed the connection, or is not there any more."""
        if self.state != ENDED:
            self.state = CONNECTION.change(self.state, ENDED)
            self.deadline = 0.0
            self.endpoint.ended()

    # -- times

    def expired(self, now: float) -> None:
        self.deadline = 0.0
        if self.state == ENDED:
            return
        self.check_peer(now)
        self.check_streams(now)
        self.transport.end_turn_soon()

    def check_peer(self, now: float) -> None:
        if not self.established:
            if now >= self.opened_at + HANDSHAKE_WAIT:
                self.finish(H3_NO_ERROR, "the handshake took too long")
            else:
                self.wait_until(self.opened_at + HANDSHAKE_WAIT)
            return
        self.check_heads(now)
        if self.rests:
            self.stop_unread(now)
        for pace, _ in self.rests.values():
            self.wait_until(pace.until())
        if self.drain_at and now >= self.drain_at:
            self.finish_drain()
        elif self.drain_at:
            self.wait_until(self.drain_at)
        if self.state == ENDED:
            return
        if self.close_at:
            if now >= self.close_at:
                self.finish(H3_NO_ERROR, "")
                return
            self.wait_until(self.close_at)
        if self.streams:
            self.check_alive(now)
        elif self.idle_at > 0:
            if now < self.idle_at + self.idle_limit():
                self.wait_until(self.idle_at + self.idle_limit())
            elif not self.closing:
                self.close()

    def idle_limit(self) -> float:
        """Seconds that the connection may be without a request: until the first, as long as a first head may take."""
        limits = self.context.limits
        limit = limits.keep_alive_timeout if self.requests else max(limits.keep_alive_timeout, limits.header_timeout)
        return min(limit, DRAIN_WAIT) if self.peer_leaving else limit

    def check_heads(self, now: float) -> None:
        """Streams whose request did not begin in time."""
        timeout = self.context.limits.header_timeout
        for stream_id, reader in list(self.readers.items()):
            if stream_id & 3 or stream_id in self.streams:
                continue
            if now >= reader.since + timeout:
                self.cut_stream(stream_id, H3_REQUEST_INCOMPLETE, False, False)
            else:
                self.wait_until(reader.since + timeout)

    def check_alive(self, now: float) -> None:
        """Asks a silent peer whether it is there, so that QUIC's own timeout is never a slow application's."""
        context = self.context
        if context.limits.h2_ping_interval == float("inf"):
            return
        silence = min(context.limits.h2_ping_interval, self.quic.idle_timeout / 2)
        if self.pinged_at:
            if now >= self.pinged_at + context.limits.h2_ping_timeout:
                self.finish(H3_NO_ERROR, "no answer")
            else:
                self.wait_until(self.pinged_at + context.limits.h2_ping_timeout)
        elif now >= self.heard_at + silence:
            self.pinged_at = now
            self.quic.send_ping(0)
            self.wait_until(now + context.limits.h2_ping_timeout)
        else:
            self.wait_until(self.heard_at + silence)

    def shutdown(self) -> None:
        now = self.context.runtime.now()
        if not self.established:
            self.opened_at = min(self.opened_at, now + DRAIN_WAIT - HANDSHAKE_WAIT)  # it may still become something
            self.wait_until(now + DRAIN_WAIT)
            return
        if not self.streams and 0 <= self.idle_at < now - self.context.limits.idle_grace:
            self.close()
            return
        self.drain()
        self.shut_streams()
