"""Definitions of the WebSocket codec: events, opcodes, and errors with their close codes."""

from __future__ import annotations

from typing import Final

__all__ = ("ERRORS", "InflateError", "MessageTooLarge")

NEED_DATA, MESSAGE, PING, PONG, CLOSE, ERROR, HELD, NEXT_FRAME = range(8)  # events; the last one is of the codec alone

FIN, RSV, RSV1 = 0x80, 0x70, 0x40  # bits of a frame's first byte; the lowest four are its opcode
CONTINUATION, TEXT, BINARY, OP_CLOSE, OP_PING = 0, 1, 2, 8, 9
CONTROL = 8  # control frames have this opcode and higher ones
HEADER_BYTES = 14  # of a client's frame, at the most

# Close code and words of every failure; 0 is none.
ERRORS: Final[tuple[tuple[int, str], ...]] = (
    (1000, ""),
    (1002, "reserved bit set"),
    (1002, "unknown opcode"),
    (1002, "frame is not masked"),
    (1002, "control frame is too long"),
    (1002, "control frame is fragmented"),
    (1002, "malformed frame length"),
    (1002, "continuation of no message"),
    (1002, "message inside a fragmented message"),
    (1002, "malformed close frame"),
    (1002, "invalid close code"),
    (1007, "invalid UTF-8"),
    (1009, "frame is too large"),
    (1009, "message is too large"),
    (1007, "invalid compressed data"),
)
(
    _OK,
    E_RSV,
    E_OPCODE,
    E_MASK,
    E_CONTROL_LONG,
    E_CONTROL_FIN,
    E_LENGTH,
    E_CONTINUATION,
    E_INTERRUPTED,
    E_CLOSE_SHORT,
    E_CLOSE_CODE,
    E_UTF8,
    E_FRAME_LARGE,
    E_MESSAGE_LARGE,
    E_DEFLATE,
) = range(15)


class InflateError(ValueError):
    """Compressed data that cannot be decompressed."""


class MessageTooLarge(InflateError):
    """Compressed data that is longer than the limit once it is decompressed."""
