"""What the codecs do with octets at speed. The codecs over it are written once; these functions have a twin in C.

This is the pure twin. The compiled one (`primitives.pyx`) calls the functions of `csrc`.
"""

from __future__ import annotations

import re
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman

from hypercorn.wire.grammar import CONTROL

__all__ = ("frame", "huffman", "unmask", "unmask_text", "valid_field")

_NAME: Final = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")


def huffman(data: bytes, start: int, end: int) -> bytes | None:
    """What the Huffman code `data[start:end]` says, where 0 <= start <= end <= len(data).

    None where it is malformed: EOS, padding of eight bits or more, padding that is not ones (RFC 7541 section 5.2).
    """
    try:
        return decode_huffman(data[start:end])
    except HPACKDecodingError:
        return None


def valid_field(name: bytes, value: bytes) -> bool:
    """True for a lower-case token, perhaps after a colon, and a value without control characters but HTAB, and
    without white space at its ends (RFC 9113 section 8.2.1)."""
    return (
        _NAME.fullmatch(name) is not None
        and value[:1] not in (b" ", b"\t")
        and value[-1:] not in (b" ", b"\t")
        and CONTROL.search(value) is None
    )


def unmask(data: bytes, start: int, end: int, mask: int, offset: int) -> bytes:
    """A part of a WebSocket frame's payload, `data[start:end]`, without its mask (RFC 6455 section 5.3).

    `mask` is the masking key as a little-endian number, `offset` the place of the first of these bytes in the payload.
    Raises IndexError where not 0 <= start <= end <= len(data).
    """
    size = end - start
    if not 0 <= start <= end <= len(data):
        raise IndexError("no such part")
    octets = mask.to_bytes(4, "little")
    turn = offset & 3
    key = int.from_bytes(((octets[turn:] + octets[:turn]) * (size // 4 + 1))[:size], "little")
    return (int.from_bytes(data[start:end], "little") ^ key).to_bytes(size, "little")


def unmask_text(data: bytes, start: int, end: int, mask: int, offset: int) -> str:
    """`unmask` of text in UTF-8. Raises UnicodeDecodeError, too."""
    return unmask(data, start, end, mask, offset).decode()


def frame(first: int, payload: str | bytes) -> bytes:
    """A WebSocket frame of a server, which is not masked. `first` is its first byte: FIN, reserved bits, opcode.

    Text is encoded in UTF-8. Raises UnicodeEncodeError for a lone surrogate in it.
    """
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return b"".join((bytes((first, 126)), size.to_bytes(2, "big"), payload))
    return b"".join((bytes((first, 127)), size.to_bytes(8, "big"), payload))
