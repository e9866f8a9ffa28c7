"""What the codecs do with octets at speed. The codecs over it are written once; these functions have a twin in C.

This is the pure twin. The compiled one (`primitives.pyx`) calls the functions of `csrc`.
"""

from __future__ import annotations

import re
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman

from hypercorn.wire.grammar import CONTROL

__all__ = ("huffman", "valid_field")

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
