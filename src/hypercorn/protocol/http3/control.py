"""The unidirectional streams of an HTTP/3 connection (RFC 9114 section 6.2, RFC 9204 section 4.2).

The control stream has SETTINGS, GOAWAY and priorities; two more carry the instructions of QPACK.
"""

from __future__ import annotations

from typing import Protocol

from hypercorn.protocol.http3.qpack import BLOCKED, TABLE_BYTES, FieldSections, QPACKError
from hypercorn.protocol.mux.budgets import GLITCHES
from hypercorn.protocol.ports import Context
from hypercorn.protocol.quic.connection import UNI_WINDOW_BYTES, ServerConnection
from hypercorn.wire import http3 as wire

USELESS_STREAMS = 256  # of unknown type, over the life of a connection
UNTYPED, USELESS = -1, -2  # kinds of streams: its first octets have not come, and nothing more is read of it
CLOSED_CRITICAL = "a stream that has to stay was closed"


class ControlledConnection(Protocol):
    """An `HTTP3Connection`, as its unidirectional streams see it."""

    context: Context
    quic: ServerConnection
    sections: FieldSections

    @property
    def ended(self) -> bool: ...

    def send(self, stream_id: int, data: bytes, end: bool) -> None: ...

    def credit(self, stream_id: int, size: int) -> None: ...

    def stop_reading(self, stream_id: int, code: int) -> None: ...

    def spend(self, kind: int) -> None: ...

    def fail(self, code: int, reason: str) -> None: ...

    def sections_unblocked(self, streams: list[int]) -> None: ...

    def prioritize(self, stream_id: int, value: bytes) -> bool: ...

    def goaway_received(self) -> None: ...


class UniStream:
    """A unidirectional stream of the peer. frames: those of a control stream"""

    __slots__ = ("frames", "kind", "overhead", "start")

    def __init__(self) -> None:
        self.kind = UNTYPED
        self.start = b""  # the first octets of its type
        self.frames: wire.FrameReader
        self.overhead = 0  # octets for which the peer has got no credit


class ControlStreams:
    """The unidirectional streams of both sides.

    Methods have the connection as an argument: two objects that referred to each other would outlive it.
    """

    __slots__ = ("control_id", "decoder_id", "encoder_id", "push_end", "push_limit", "settings", "streams")

    def __init__(self) -> None:
        self.control_id = self.encoder_id = self.decoder_id = -1  # the server's own
        self.streams: dict[int, UniStream] = {}
        self.settings: dict[int, int] | None = None  # the peer's
        self.push_limit = 0  # the highest push that the peer allows, and the first one that it takes no more
        self.push_end = wire.LARGEST_VARINT

    def open(self, connection: ControlledConnection) -> None:
        """Opens the server's streams, with its SETTINGS."""
        context = connection.context
        settings = [
            (wire.MAX_TABLE_CAPACITY, TABLE_BYTES),
            (wire.BLOCKED_STREAMS, BLOCKED),
            (wire.MAX_FIELD_SECTION_SIZE, context.limits.h2_max_header_list_size),
            (wire.RESERVED_SETTING, 1),
        ]
        if context.websocket is not None and context.websocket.extended_connect:
            settings.append((wire.ENABLE_CONNECT_PROTOCOL, 1))
        ids = []
        for kind in (wire.S_CONTROL, wire.S_ENCODER, wire.S_DECODER):
            ids.append(connection.quic.get_next_available_stream_id(is_unidirectional=True))
            start = wire.varint(kind) + (wire.settings_frame(settings) if kind == wire.S_CONTROL else b"")
            connection.send(ids[-1], start, False)
        self.control_id, self.encoder_id, self.decoder_id = ids

    # -- from the peer

    def received(self, connection: ControlledConnection, stream_id: int, data: bytes, end: bool) -> None:
        """Octets of a stream."""
        stream = self.streams.get(stream_id)
        if stream is None:
            stream = self.streams[stream_id] = UniStream()
        if stream.kind == USELESS:
            return
        stream.overhead += len(data)
        if stream.overhead * 2 >= UNI_WINDOW_BYTES:
            connection.credit(stream_id, stream.overhead)
            stream.overhead = 0
        if stream.kind == UNTYPED:
            data = stream.start + data  # the type may come in pieces
            kind, at = wire.read_varint(data, 0)
            if kind < 0:
                stream.start = data
                if end:
                    self.forget(connection, stream_id)
                return
            stream.start, data = b"", data[at:]
            if not self.typed(connection, stream_id, stream, kind):
                return
        try:
            if stream.kind == wire.S_ENCODER:
                connection.sections_unblocked(connection.sections.feed_decoder(data))
            elif stream.kind == wire.S_DECODER:
                connection.sections.feed_encoder(data)
            else:
                stream.frames.feed(data, False)
                self.control_frames(connection, stream.frames)
        except QPACKError as error:
            connection.fail(error.code, error.reason)
        if end:
            connection.fail(wire.H3_CLOSED_CRITICAL_STREAM, CLOSED_CRITICAL)

    def typed(self, connection: ControlledConnection, stream_id: int, stream: UniStream, kind: int) -> bool:
        """The type of a stream is known. False where nothing more is read of it."""
        if kind == wire.S_PUSH:
            connection.fail(wire.H3_STREAM_CREATION_ERROR, "a client does not push")
        elif kind > wire.S_DECODER:
            stream.kind = USELESS
            if len(self.streams) > USELESS_STREAMS:
                connection.fail(wire.H3_EXCESSIVE_LOAD, "too many streams of no use")
            else:
                connection.stop_reading(stream_id, wire.H3_STREAM_CREATION_ERROR)
                connection.spend(GLITCHES)
        elif any(other.kind == kind for other in self.streams.values()):
            connection.fail(wire.H3_STREAM_CREATION_ERROR, "a second stream of its kind")
        else:
            stream.kind = kind
            if kind == wire.S_CONTROL:
                stream.frames = wire.FrameReader(wire.ON_CONTROL, wire.CONTROL_FRAME_BYTES)
            return True
        return False

    def reset(self, connection: ControlledConnection, stream_id: int) -> None:
        """RESET_STREAM of the peer."""
        stream = self.streams.get(stream_id)
        if stream is None or stream.kind == UNTYPED:
            self.forget(connection, stream_id)
        elif stream.kind != USELESS:
            connection.fail(wire.H3_CLOSED_CRITICAL_STREAM, CLOSED_CRITICAL)

    def forget(self, connection: ControlledConnection, stream_id: int) -> None:
        """A stream was over before its type came, which is allowed (RFC 9114 section 6.2) and of no use."""
        self.streams.pop(stream_id, None)
        connection.spend(GLITCHES)

    def stopped(self, connection: ControlledConnection, stream_id: int) -> None:
        """STOP_SENDING of the peer."""
        if stream_id in (self.control_id, self.encoder_id, self.decoder_id):
            connection.fail(wire.H3_CLOSED_CRITICAL_STREAM, "a stream that has to stay was stopped")

    def control_frames(self, connection: ControlledConnection, frames: wire.FrameReader) -> None:
        """Frames of the control stream."""
        while not connection.ended:
            event = frames.next()
            if event == wire.NEED_DATA:
                return
            if event == wire.ERROR:
                connection.fail(frames.code, frames.reason)
            elif event != wire.F_SETTINGS and self.settings is None:
                connection.fail(wire.H3_MISSING_SETTINGS, "the control stream does not begin with SETTINGS")
            elif event == wire.F_SETTINGS:
                self.settings_received(connection, frames.payload)
            elif event == wire.OVERSIZE:
                connection.fail(wire.H3_EXCESSIVE_LOAD, "a frame is too long")
            elif event == wire.F_PRIORITY_UPDATE:
                self.priority_update(connection, frames.payload)
            else:
                self.number_frame(connection, event, frames.payload)

    def settings_received(self, connection: ControlledConnection, payload: bytes) -> None:
        """SETTINGS, once."""
        if self.settings is not None:
            connection.fail(wire.H3_FRAME_UNEXPECTED, "SETTINGS twice")
            return
        settings = wire.read_settings(payload)
        if settings is None:
            connection.fail(wire.H3_SETTINGS_ERROR, "malformed SETTINGS")
            return
        self.settings = settings
        instructions = connection.sections.apply_settings(settings)
        if instructions:
            connection.send(self.encoder_id, instructions, False)

    def priority_update(self, connection: ControlledConnection, payload: bytes) -> None:
        """PRIORITY_UPDATE of a request (RFC 9218 section 7.2)."""
        connection.spend(GLITCHES)
        stream_id, at = wire.read_varint(payload, 0)
        if stream_id < 0:
            connection.fail(wire.H3_FRAME_ERROR, "malformed PRIORITY_UPDATE")
        elif not connection.prioritize(stream_id, payload[at:]):
            connection.fail(wire.H3_ID_ERROR, "PRIORITY_UPDATE for no request")

    def number_frame(self, connection: ControlledConnection, event: int, payload: bytes) -> None:
        """GOAWAY, MAX_PUSH_ID, CANCEL_PUSH: one number each; and what is unknown."""
        connection.spend(GLITCHES)
        if event == wire.UNKNOWN or event == wire.F_PRIORITY_UPDATE_PUSH:
            return
        number, at = wire.read_varint(payload, 0)
        if number < 0 or at != len(payload):
            connection.fail(wire.H3_FRAME_ERROR, "malformed frame")
        elif event == wire.F_CANCEL_PUSH:
            connection.fail(wire.H3_ID_ERROR, "nothing was pushed")
        elif event == wire.F_GOAWAY:
            if number > self.push_end:
                connection.fail(wire.H3_ID_ERROR, "GOAWAY has become larger")
            else:
                self.push_end = number
                connection.goaway_received()
        elif number < self.push_limit:
            connection.fail(wire.H3_ID_ERROR, "MAX_PUSH_ID has become smaller")
        else:
            self.push_limit = number
