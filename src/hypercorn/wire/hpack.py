"""Header compression of HTTP/2 (RFC 7541), the reading half. Written once, over `primitives`."""

from __future__ import annotations

from typing import Any

from hypercorn.objects import part_of
from hypercorn.wire.http2_tables import BAD_PSEUDO, COOKIE, KINDS, MAX_RESIZES, OVERHEAD_BYTES, REGULAR, STATIC
from hypercorn.wire.primitives import huffman, valid_field

__all__ = ("Field", "HeaderDecoder")

_INTEGER_BYTES = 4  # continuation octets of an integer
_LONGEST_LITERAL_BYTES = 256  # octets of a literal that a decoder remembers


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
        self._fill(name, value)

    def _fill(self, name: bytes, value: bytes) -> None:
        kind = KINDS.get(name)
        self.pair = (name, value)
        self.kind = kind if kind is not None else BAD_PSEUDO if name.startswith(b":") else REGULAR
        self.flawed = not valid_field(name, value)
        self.size = len(name) + len(value) + OVERHEAD_BYTES
        self.memo: Any = None


_STATIC = tuple([Field(name, value) for name, value in STATIC])
_STATICS = len(_STATIC)


class _Malformed(Exception):
    """The block is no HPACK."""


class HeaderDecoder:
    """Decodes the header blocks of one connection.

    max_table_size: octets of the dynamic table, as announced to the peer
    oversize: the last list was longer than allowed, and was cut
    """

    __slots__ = (
        "_at",
        "_first",
        "_limit",
        "_literal",
        "_literal_before",
        "_size",
        "_table",
        "_text",
        "_text_before",
        "max_table_size",
        "oversize",
    )

    def __init__(self, max_table_size: int = 4096) -> None:
        self.max_table_size = max_table_size
        self.oversize = False
        self._at = 0  # where reading goes on in a block
        self._limit = max_table_size
        self._size = 0
        self._table: list[Field | None] = []  # oldest first, from `_first` on
        self._first = 0
        # The last two literals that are in no table, and their octets: some clients never put :path into the table.
        self._text = self._text_before = b""
        self._literal: Field | None = None
        self._literal_before: Field | None = None

    def decode(self, block: bytes, max_size: int, max_count: int) -> list[Field] | None:
        """The fields of a block, or None where it is malformed: the connection cannot go on then.

        Counted while decoding: where the list is larger than `max_size` octets or has more than `max_count` regular
        fields (cookies count as one), `oversize` is set and the rest only kept in step.
        """
        try:
            return self._decode(block, max_size, max_count)
        except _Malformed:
            return None

    def _decode(self, block: bytes, max_size: int, max_count: int) -> list[Field]:
        fields: list[Field] = []
        size = count = resizes = 0
        cookies = False
        end = len(block)
        self.oversize = False
        self._at = 0
        while self._at < end:
            first = block[self._at]
            if first & 0x80:
                field: Field | None = self._entry(self._integer(block, 7))
            elif first & 0xE0 == 0x20:
                resizes += 1
                if fields or self.oversize or resizes > MAX_RESIZES:
                    raise _Malformed
                self._resize(block)
                continue
            else:
                field = self._take_literal(block, first)
            if field is None or self.oversize:
                continue
            size += field.size
            if field.kind > BAD_PSEUDO or field.kind == REGULAR:
                if field.kind != COOKIE:
                    count += 1
                elif not cookies:
                    cookies = True
                    count += 1
            if size > max_size or count > max_count:
                self.oversize = True
            else:
                fields.append(field)
        return fields

    def _resize(self, block: bytes) -> None:
        """A size update (RFC 7541 section 6.3)."""
        limit = self._integer(block, 5)
        if limit > self.max_table_size:
            raise _Malformed
        self._limit = limit
        self._evict(limit)

    def _take_literal(self, block: bytes, first: int) -> Field | None:
        """The field of a literal (RFC 7541 section 6.2); None for one that is only read over."""
        start = self._at
        indexing = first & 0x40 != 0
        index = self._integer(block, 6 if indexing else 4)
        named = self._entry(index) if index else None
        literals_at = self._at
        if not index:
            self._skip_string(block)
        self._skip_string(block)
        if self.oversize and not indexing:
            return None
        text = b""
        # Without a reference to the dynamic table the same octets are the same field.
        if not indexing and index <= _STATICS and self._at - start <= _LONGEST_LITERAL_BYTES:
            text = part_of(block, start, self._at)
            field = self._remembered(text)
            if field is not None:
                return field
        self._at = literals_at
        name = self._string(block) if named is None else named.pair[0]
        field = self._make(name, self._string(block))
        if indexing:
            self._insert(field)
        elif text:
            self._text_before, self._literal_before = self._text, self._literal
            self._text, self._literal = text, field
        return field

    def _make(self, name: bytes, value: bytes) -> Field:
        field = Field.__new__(Field)  # without the detour over its constructor
        field._fill(name, value)
        return field

    def _remembered(self, text: bytes) -> Field | None:
        """The field of a literal that came lately."""
        if text == self._text:
            return self._literal
        return self._literal_before if text == self._text_before else None

    def _insert(self, field: Field) -> None:
        """Adds an entry (RFC 7541 section 4.4)."""
        self._evict(self._limit - field.size)
        if field.size <= self._limit:
            self._table.append(field)
            self._size += field.size

    def _entry(self, index: int) -> Field:
        if 0 < index <= _STATICS:
            return _STATIC[index - 1]
        length = len(self._table)
        index -= _STATICS
        if index <= 0 or index > length - self._first:
            raise _Malformed
        field = self._table[length - index]
        assert field is not None
        return field

    def _evict(self, room: int) -> None:
        """Drops the oldest entries until what is left has at most `room` octets."""
        length = len(self._table)
        while self._size > room and self._first < length:
            gone = self._table[self._first]
            assert gone is not None
            self._size -= gone.size
            self._table[self._first] = None
            self._first += 1
        if self._first > 32 and self._first * 2 > length:
            del self._table[: self._first]
            self._first = 0

    def _integer(self, block: bytes, prefix: int) -> int:
        """Takes an integer (RFC 7541 section 5.1)."""
        at = self._at
        if at >= len(block):
            raise _Malformed
        top = (1 << prefix) - 1
        value = block[at] & top
        at += 1
        if value == top:
            for i in range(_INTEGER_BYTES):
                if at >= len(block):
                    raise _Malformed
                octet = block[at]
                at += 1
                value += (octet & 0x7F) << 7 * i
                if octet < 0x80:
                    break
            else:
                raise _Malformed
        self._at = at
        return value

    def _skip_string(self, block: bytes) -> None:
        """Reads over a string literal."""
        length = self._integer(block, 7)
        if length > len(block) - self._at:
            raise _Malformed
        self._at += length

    def _string(self, block: bytes) -> bytes:
        """Takes a string literal that was read over before (RFC 7541 section 5.2)."""
        coded = block[self._at] & 0x80 != 0
        length = self._integer(block, 7)
        start = self._at
        self._at += length
        if not coded:
            return part_of(block, start, self._at)
        plain = huffman(block, start, self._at)
        if plain is None:
            raise _Malformed
        return plain
