"""What concerns a whole HTTP/3 connection: its unidirectional streams (RFC 9114 section 6.2, RFC 9204 section 4.2).

The control stream has SETTINGS, GOAWAY and priorities; two more carry the instructions of QPACK.
"""

from __future__ import annotations

from typing import Any

import pylsqpack

from hypercorn.protocol.http3.life import HTTP3Life
from hypercorn.protocol.mux.budgets import DRAIN_WAIT, GLITCHES
from hypercorn.protocol.mux.states import ENDED
from hypercorn.protocol.ports import Context
from hypercorn.protocol.quic.connection import UNI_WINDOW, ServerConnection
from hypercorn.protocol.quic.transport import Endpoint, QUICTransport
from hypercorn.wire import http3 as wire
from hypercorn.wire.http3 import (
    H3_CLOSED_CRITICAL_STREAM,
    H3_EXCESSIVE_LOAD,
    H3_FRAME_ERROR,
    H3_FRAME_UNEXPECTED,
    H3_ID_ERROR,
    H3_MISSING_SETTINGS,
    H3_SETTINGS_ERROR,
    H3_STREAM_CREATION_ERROR,
    NEED_DATA,
    FrameReader,
    read_varint,
)

TABLE = 1024  # octets of the peer's dynamic table: what a small section may stand for is bounded by it
BLOCKED = 16  # sections that may wait for the peer's encoder stream
OWN_TABLE = 4096  # octets of the server's own table at the most, whatever the peer allows
USELESS_STREAMS = 256  # of unknown type, over the life of a connection


class HTTP3Control(HTTP3Life):
    """An HTTP/3 connection without its requests."""

    def __init__(self, transport: QUICTransport, context: Context, quic: ServerConnection, endpoint: Endpoint) -> None:
        super().__init__(transport, context, quic, endpoint)
        self.decoder: Any = None  # of field sections, once the handshake is over
        self.peer_streams: dict[int, int] = {}  # type of each unidirectional stream, by its id
        self.settings: dict[int, int] | None = None  # the peer's
        self.push_limit = 0  # the highest push that the peer allows, and the first one that it takes no more
        self.push_end = wire.LARGEST_VARINT

    def section_decoded(self, stream_id: int, reader: FrameReader, instructions: bytes, pairs: Any) -> None:
        """The fields of a section that had to wait are there."""
        raise NotImplementedError

    def advance(self, stream_id: int, reader: FrameReader) -> None:
        """Takes every frame of a request's stream that is at hand."""
        raise NotImplementedError

    def preface(self) -> None:
        """The server's streams and SETTINGS."""
        settings = [
            (wire.MAX_TABLE_CAPACITY, TABLE),
            (wire.BLOCKED_STREAMS, BLOCKED),
            (wire.MAX_FIELD_SECTION_SIZE, self.context.limits.h2_max_header_list_size),
            (wire.RESERVED_SETTING, 1),
        ]
        if self.context.websocket is not None and self.context.websocket.extended_connect:
            settings.append((wire.ENABLE_CONNECT_PROTOCOL, 1))
        self.decoder = pylsqpack.Decoder(TABLE, BLOCKED)
        self.open_control(wire.settings_frame(settings))

    def cancel_section(self, stream_id: int) -> None:
        cancel = getattr(self.decoder, "cancel_stream", None)  # since pylsqpack 1.0
        instructions = cancel(stream_id) if cancel is not None else b""
        if instructions and self.decoder_id >= 0:
            self.send(self.decoder_id, instructions, False)

    def uni_data(self, stream_id: int, data: bytes, end: bool) -> None:
        """Octets of a unidirectional stream."""
        reader = self.readers.get(stream_id)
        if reader is None:
            if self.peer_streams.get(stream_id, 0) < 0:
                return  # of a type that nobody knows
            reader = self.readers[stream_id] = FrameReader(wire.ON_CONTROL, wire.CONTROL_FRAME)
        reader.overhead += len(data)
        if reader.overhead * 2 >= UNI_WINDOW:
            self.credit(stream_id, reader.overhead)
            reader.overhead = 0
        kind = self.peer_streams.get(stream_id)
        if kind is None:
            data = reader.payload + data  # the type may come in pieces
            kind, at = read_varint(data, 0)
            if kind < 0:
                reader.payload = data
                if end:
                    self.readers.pop(stream_id)
                return
            reader.payload, data = b"", data[at:]
            if not self.stream_typed(stream_id, kind):
                return
        if kind == wire.S_ENCODER:
            self.encoder_data(data)
        elif kind == wire.S_DECODER:
            self.decoder_data(data)
        else:
            reader.feed(data, False)
            self.control_frames(reader)
        if end and self.state != ENDED:
            self.fail(H3_CLOSED_CRITICAL_STREAM, "a stream that has to stay was closed")

    def stream_typed(self, stream_id: int, kind: int) -> bool:
        """The type of a stream is known. False where nothing more is read of it."""
        if kind == wire.S_PUSH:
            self.fail(H3_STREAM_CREATION_ERROR, "a client does not push")
            return False
        if kind > wire.S_DECODER:
            self.peer_streams[stream_id] = -1
            if len(self.peer_streams) > USELESS_STREAMS:
                self.fail(H3_EXCESSIVE_LOAD, "too many streams of no use")
                return False
            self.stop_reading(stream_id, H3_STREAM_CREATION_ERROR)
            self.spend(GLITCHES)
            return False
        if kind in self.peer_streams.values():
            self.fail(H3_STREAM_CREATION_ERROR, "a second stream of its kind")
            return False
        self.peer_streams[stream_id] = kind
        return True

    def encoder_data(self, data: bytes) -> None:
        """Instructions of the peer's encoder; sections that waited for them go on."""
        try:
            unblocked = self.decoder.feed_encoder(data)
        except pylsqpack.EncoderStreamError:
            self.fail(wire.QPACK_ENCODER_STREAM_ERROR, "malformed instructions")
            return
        for stream_id in unblocked:
            reader = self.readers.get(stream_id)
            if reader is None:
                continue
            reader.blocked = False
            try:
                instructions, pairs = self.decoder.resume_header(stream_id)
            except pylsqpack.DecompressionFailed:
                self.fail(wire.QPACK_DECOMPRESSION_FAILED, "a field section cannot be decoded")
                return
            self.section_decoded(stream_id, reader, instructions, pairs)
            if self.state != ENDED:
                self.advance(stream_id, reader)

    def decoder_data(self, data: bytes) -> None:
        """What the peer's decoder says of the server's sections."""
        try:
            self.encoder.feed_decoder(data)
        except pylsqpack.DecoderStreamError:
            self.fail(wire.QPACK_DECODER_STREAM_ERROR, "malformed instructions")

    def control_frames(self, reader: FrameReader) -> None:
        """Frames of the control stream."""
        while self.state != ENDED:
            event = reader.next()
            if event == NEED_DATA:
                return
            if event == wire.ERROR:
                self.fail(reader.code, reader.reason)
            elif event != wire.F_SETTINGS and self.settings is None:
                self.fail(H3_MISSING_SETTINGS, "the control stream does not begin with SETTINGS")
            elif event == wire.F_SETTINGS:
                self.settings_received(reader.payload)
            elif event == wire.OVERSIZE:
                self.fail(H3_EXCESSIVE_LOAD, "a frame is too long")
            elif event == wire.F_PRIORITY_UPDATE:
                self.priority_update(reader.payload)
            else:
                self.number_frame(event, reader.payload)

    def settings_received(self, payload: bytes) -> None:
        """SETTINGS, once."""
        if self.settings is not None:
            self.fail(H3_FRAME_UNEXPECTED, "SETTINGS twice")
            return
        settings = wire.read_settings(payload)
        if settings is None:
            self.fail(H3_SETTINGS_ERROR, "malformed SETTINGS")
            return
        self.settings = settings
        instructions = self.encoder.apply_settings(
            max_table_capacity=min(settings.get(wire.MAX_TABLE_CAPACITY, 0), OWN_TABLE),
            blocked_streams=min(settings.get(wire.BLOCKED_STREAMS, 0), BLOCKED),
        )
        if instructions:
            self.send(self.encoder_id, instructions, False)

    def priority_update(self, payload: bytes) -> None:
        """PRIORITY_UPDATE of a request (RFC 9218 section 7.2)."""
        self.spend(GLITCHES)
        stream_id, at = read_varint(payload, 0)
        if stream_id < 0:
            self.fail(H3_FRAME_ERROR, "malformed PRIORITY_UPDATE")
            return
        if stream_id & 3 or stream_id >= self.next_id + 4 * self.context.limits.h2_max_concurrent_streams * 2:
            self.fail(H3_ID_ERROR, "PRIORITY_UPDATE for no request")
            return
        stream: Any = self.streams.get(stream_id)
        if stream is not None:
            stream.prioritize(payload[at:])
        elif stream_id >= self.next_id or stream_id in self.gaps:
            if len(self.priorities) < self.context.limits.h2_max_concurrent_streams:
                self.priorities[stream_id] = payload[at:]

    def number_frame(self, event: int, payload: bytes) -> None:
        """GOAWAY, MAX_PUSH_ID, CANCEL_PUSH: one number each; and what is unknown."""
        self.spend(GLITCHES)
        if event == wire.UNKNOWN or event == wire.F_PRIORITY_UPDATE_PUSH:
            return
        number, at = read_varint(payload, 0)
        if number < 0 or at != len(payload):
            self.fail(H3_FRAME_ERROR, "malformed frame")
        elif event == wire.F_CANCEL_PUSH:
            self.fail(H3_ID_ERROR, "nothing was pushed")
        elif event == wire.F_GOAWAY:
            self.goaway_received(number)
        elif number < self.push_limit:
            self.fail(H3_ID_ERROR, "MAX_PUSH_ID has become smaller")
        else:
            self.push_limit = number

    def goaway_received(self, number: int) -> None:
        """GOAWAY: the client takes no pushes from this one on, and is about to leave (RFC 9114 section 5.2). Requests
        that it has sent nevertheless are answered: the connection closes once nothing has come for a moment."""
        if number > self.push_end:
            self.fail(H3_ID_ERROR, "GOAWAY has become larger")
            return
        self.push_end = number
        self.peer_leaving = True
        now = self.context.runtime.now()
        if self.idle_at > 0:
            self.idle_at = now
        self.wait_until(now + DRAIN_WAIT)
