"""The field sections of one HTTP/3 connection (RFC 9204). The compression is pylsqpack's."""

from __future__ import annotations

from collections.abc import Callable

import pylsqpack

from hypercorn.wire import http3 as wire
from hypercorn.wire.hpack import Field

TABLE_BYTES = 1024  # octets of the peer's dynamic table: what a small section may stand for is bounded by it
BLOCKED = 16  # sections that may wait for the peer's encoder stream
OWN_TABLE_BYTES = 4096  # octets of the server's own table at the most, whatever the peer allows
INDEXED_SECTION_BYTES = 16384  # octets of a section that refers to the dynamic table, each octet to a whole entry of it
KNOWN_FIELDS = 32  # fields that are remembered
LONGEST_KNOWN_BYTES = 1024  # octets of one at the most: an entry of the table fits

FieldPair = tuple[bytes, bytes]
Blocked = pylsqpack.StreamBlocked


class QPACKError(Exception):
    """The peer broke the compression, which ends the connection with `code` (RFC 9204 section 6)."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class FieldSections:
    """Both tables, and the fields that came lately."""

    __slots__ = ("decoder", "encode", "encoder", "known")

    def __init__(self) -> None:
        self.decoder = pylsqpack.Decoder(TABLE_BYTES, BLOCKED)
        self.encoder = pylsqpack.Encoder()
        # Instructions for the peer's decoder, and the section; for a stream's number and its fields.
        self.encode: Callable[[int, list[FieldPair]], tuple[bytes, bytes]] = self.encoder.encode
        self.known: dict[FieldPair, Field] = {}

    # -- out

    def apply_settings(self, settings: dict[int, int]) -> bytes:
        """Uses the table that the peer allows. Returns the instructions that say so."""
        instructions: bytes = self.encoder.apply_settings(
            max_table_capacity=min(settings.get(wire.MAX_TABLE_CAPACITY, 0), OWN_TABLE_BYTES),
            blocked_streams=min(settings.get(wire.BLOCKED_STREAMS, 0), BLOCKED),
        )
        return instructions

    def feed_encoder(self, data: bytes) -> None:
        """Takes instructions of the peer's decoder. Raises QPACKError."""
        try:
            self.encoder.feed_decoder(data)
        except pylsqpack.DecoderStreamError:
            raise QPACKError(wire.QPACK_DECODER_STREAM_ERROR, "malformed instructions") from None

    # -- in

    def feed_decoder(self, data: bytes) -> list[int]:
        """Instructions of the peer's encoder. Returns the streams whose sections need wait no longer. Raises
        QPACKError."""
        try:
            unblocked: list[int] = self.decoder.feed_encoder(data)
        except pylsqpack.EncoderStreamError:
            raise QPACKError(wire.QPACK_ENCODER_STREAM_ERROR, "malformed instructions") from None
        return unblocked

    def decode(self, stream_id: int, block: bytes | None) -> tuple[bytes, list[FieldPair]]:
        """Instructions for the peer's encoder, and the fields of a section; of the one that waited where `block` is
        None. Raises QPACKError, and Blocked where the section has to wait."""
        try:
            if block is None:
                instructions, pairs = self.decoder.resume_header(stream_id)
            else:
                instructions, pairs = self.decoder.feed_header(stream_id, block)
        except Blocked:
            raise
        except (pylsqpack.DecompressionFailed, ValueError):
            raise QPACKError(wire.QPACK_DECOMPRESSION_FAILED, "a field section cannot be decoded") from None
        return instructions, pairs

    def cancel(self, stream_id: int) -> bytes:
        """A stream is not read to its end: the instruction that says so, so that the peer's encoder can drop the
        entries that sections of it refer to (RFC 9204 section 4.4.2)."""
        cancel = getattr(self.decoder, "cancel_stream", None)  # since pylsqpack 1.0
        return cancel(stream_id) if cancel is not None else b""

    def shared(self, pairs: list[FieldPair]) -> list[Field]:
        """The fields of a section. Those that come again are the same objects: a reference to an entry of the table,
        an octet on the wire, takes no memory of its own."""
        known = self.known
        fields = []
        for pair in pairs:
            field = known.get(pair)
            if field is None:
                if len(known) >= KNOWN_FIELDS:
                    known.clear()
                field = Field(*pair)
                if len(pair[0]) + len(pair[1]) <= LONGEST_KNOWN_BYTES:
                    known[pair] = field
            fields.append(field)
        return fields
