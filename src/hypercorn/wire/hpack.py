"""Header compression of HTTP/2 (RFC 7541), the reading half: the pure twin, with the Huffman decoder of `hpack`."""

from __future__ import annotations

import re
from typing import Any, Final, final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman

from hypercorn.wire.grammar import CONTROL
from hypercorn.wire.http2_tables import BAD_PSEUDO, COOKIE, KINDS, MAX_RESIZES, OVERHEAD, REGULAR, STATIC

__all__ = ("Field", "HeaderDecoder", "valid_field")

_NAME: Final = re.compile(rb":?[!#$%&'*+\-.^_`|~0-9a-z]+")
_INT_OCTETS: Final = 4  # continuation octets of an integer


@final
class Field:
    """A header field.

    pair: name and value, as scopes have them
    kind: what the name means (http2_tables)
    flawed: name or value are not what RFC 9113 section 8.2.1 allows
    size: octets that it counts in a header list (RFC 7541 section 4.1)
    memo: whatever a reader wants to keep of it; a field of a table comes again
    """

    __slots__ = ("flawed", "kind", "memo", "pair", "size")

    def __init__(self, name: bytes, value: bytes) -> None:
        self.pair = (name, value)
        self.kind = KINDS.get(name, BAD_PSEUDO if name[:1] == b":" else REGULAR)
        self.flawed = not valid_field(name, value)
        self.size = len(name) + len(value) + OVERHEAD
        self.memo: Any = None


def valid_field(name: bytes, value: bytes) -> bool:
    """True for a lower-case token, perhaps after a colon, and a value without control characters but HTAB, and
    without white space at its ends (RFC 9113 section 8.2.1)."""
    return (
        _NAME.fullmatch(name) is not None
        and value[:1] not in (b" ", b"\t")
        and value[-1:] not in (b" ", b"\t")
        and CONTROL.search(value) is None
    )


_STATIC: Final = tuple(Field(name, value) for name, value in STATIC)


class _Malformed(Exception):
    """The block is no HPACK."""


@final
class HeaderDecoder:
    """Decodes the header blocks of one connection.

    max_table_size: octets of the dynamic table, as announced to the peer
    oversize: the last list was longer than allowed, and was cut
    """

    __slots__ = ("_limit", "_size", "_table", "max_table_size", "oversize")

    def __init__(self, max_table_size: int = 4096) -> None:
        self.max_table_size = max_table_size
        self.oversize = False
        self._limit = max_table_size
        self._size = 0
        self._table: list[Field] = []  # oldest first

    def decode(self, block: bytes, max_size: int, max_count: int) -> list[Field] | None:
        """The fields of a block, or None where it is malformed: the connection cannot go on then.

        Counted while decoding: where the list is larger than `max_size` octets or has more than `max_count` regular
        fields (cookies count as one), `oversize` is set and the rest only kept in step.
        """
        self.oversize = False
        try:
            return self._decode(block, max_size, max_count)
        except (_Malformed, HPACKDecodingError):
            return None

    def _decode(self, block: bytes, max_size: int, max_count: int) -> list[Field]:
        fields: list[Field] = []
        at = size = count = resizes = 0
        cookies = False
        end = len(block)
        while at < end:
            first = block[at]
            if first & 0xE0 == 0x20:
                at, limit = _integer(block, at, 5)
                resizes += 1
                if fields or self.oversize or resizes > MAX_RESIZES or limit > self.max_table_size:
                    raise _Malformed
                self._limit = limit
                self._evict(limit)
                continue
            if first & 0x80:
                at, index = _integer(block, at, 7)
                field = self._entry(index)
            else:
                indexing = first & 0x40
                at, index = _integer(block, at, 6 if indexing else 4)
                start = at
                name = b""
                if index == 0:
                    start, at = _skip_string(block, at)
                elif index:
                    name = self._entry(index).pair[0]
                value_at, at = _skip_string(block, at)
                if self.oversize and not indexing:
                    continue
                if index == 0:
                    name = _string(block, start)
                field = Field(name, _string(block, value_at))
                if indexing:
                    self._evict(self._limit - field.size)
                    if field.size <= self._limit:
                        self._table.append(field)
                        self._size += field.size
            if self.oversize:
                continue
            size += field.size
            if field.kind >= 7 or field.kind == REGULAR:
                count += not (field.kind == COOKIE and cookies)
                cookies = cookies or field.kind == COOKIE
            if size > max_size or count > max_count:
                self.oversize = True
            else:
                fields.append(field)
        return fields

    def _entry(self, index: int) -> Field:
        if 0 < index <= len(_STATIC):
            return _STATIC[index - 1]
        index -= len(_STATIC)
        if not 0 < index <= len(self._table):
            raise _Malformed
        return self._table[-index]

    def _evict(self, room: int) -> None:
        """Drops the oldest entries until what is left has at most `room` octets."""
        gone = 0
        while self._size > room and gone < len(self._table):
            self._size -= self._table[gone].size
            gone += 1
        del self._table[:gone]


def _integer(block: bytes, at: int, prefix: int) -> tuple[int, int]:
    """An integer (RFC 7541 section 5.1): where it ends, and its value."""
    if at >= len(block):
        raise _Malformed
    top = (1 << prefix) - 1
    value = block[at] & top
    at += 1
    if value < top:
        return at, value
    for shift in range(_INT_OCTETS):
        if at >= len(block):
            break
        value += (block[at] & 0x7F) << (7 * shift)
        at += 1
        if not block[at - 1] & 0x80:
            return at, value
    raise _Malformed


def _skip_string(block: bytes, at: int) -> tuple[int, int]:
    """The start and the end of a string literal."""
    start, length = _integer(block, at, 7)
    if length > len(block) - start:
        raise _Malformed
    return at, start + length


def _string(block: bytes, at: int) -> bytes:
    """The string literal at `at` (RFC 7541 section 5.2)."""
    start, length = _integer(block, at, 7)
    octets = block[start : start + length]
    return decode_huffman(octets) if block[at] & 0x80 else octets
