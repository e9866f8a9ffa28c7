"""HTTP/2 frames and header blocks (RFC 9113, RFC 7541) as bytes, the writing half. Written once.

Response fields repeat. A worker keeps what it has checked and encoded once (`FieldLines`); a connection's `FrameWriter`
puts a field into its dynamic table at the second sight, and from then on it is one octet.
"""

from __future__ import annotations

from collections.abc import Iterable

from hypercorn.wire.http1_primitives import decimal
from hypercorn.wire.http2_tables import DATE, FORBIDDEN, KINDS, LENGTH, OVERHEAD_BYTES, SERVER, STATIC, STATIC_NAMES
from hypercorn.wire.octets import Octets
from hypercorn.wire.writing import checked_field, plain_field

KNOWN = 512  # fields that a worker remembers, twice
KNOWN_NAMES = 256  # names of fields that it remembers
LONGEST_KNOWN_BYTES = 1024  # octets of the longest one
TABLE_BYTES = 4096  # octets of a connection's dynamic table at the most, whatever the peer allows
STATIC_LENGTH = 61
_EXACT = {pair: index for index, pair in enumerate(STATIC, 1) if pair[1]}
_EXACT_NAMES = frozenset(name for name, _ in _EXACT)
_OCTETS = [bytes((octet,)) for octet in range(256)]
_SECRET = frozenset((b"set-cookie", b"authorization", b"proxy-authorization"))  # never in a table (RFC 7541 7.1.3)
_VARIES = frozenset((b"content-length", b"content-range", b"etag", b"last-modified", b"location"))


class FieldName:
    """The name of a response field, in lower case, and how it is written before a value."""

    __slots__ = ("indexed", "inserting", "kind", "may_be_exact", "name", "plain")

    def __init__(self, name: bytes) -> None:
        index = STATIC_NAMES.get(name, 0)
        literal = b"" if index else encode_string(name)
        secret = name in _SECRET
        self.name = name
        self.kind = KINDS.get(name, 0)
        self.indexed = not secret and name not in _VARIES
        self.may_be_exact = name in _EXACT_NAMES
        self.plain = encode_integer(index, 4, 0x10 if secret else 0) + literal
        self.inserting = encode_integer(index, 6, 0x40) + literal


class FieldLine:
    """A checked field of a response, encoded."""

    __slots__ = ("exact", "length", "name", "plain", "size", "uses", "value")

    def __init__(self, name: bytes, value: bytes) -> None:
        self.fill(FieldName(name), value)

    def fill(self, name: FieldName, value: bytes) -> None:
        """Sets all up."""
        self.name = name
        self.value = value
        self.size = len(name.name) + len(value) + OVERHEAD_BYTES
        self.exact = _EXACT.get((name.name, value), 0) if name.may_be_exact else 0  # its place in the static table
        self.uses = 0
        self.length = -1  # of the body, where the field says that
        self.plain = name.plain + encode_string(value)


def encode_integer(value: int, prefix: int, first: int) -> bytes:
    """An integer behind the bits of `first` (RFC 7541 section 5.1)."""
    top = (1 << prefix) - 1
    if value < top:
        return _OCTETS[first | value]
    out = bytearray((first | top,))
    value -= top
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(value: bytes) -> bytes:
    """A string literal as it is: what repeats is sent once, and what does not is rarely worth a Huffman code."""
    return encode_integer(len(value), 7, 0) + value


class FieldLines:
    """The response fields that a worker has seen. What it learned of a head holds until the next call.

    content_length: what the application announced in bytes, -1 where it did not
    has_date, has_server: the application gave these fields itself
    """

    __slots__ = (
        "content_length",
        "has_date",
        "has_server",
        "names",
        "old",
        "server_lines",
        "server_list",
        "statuses",
        "young",
    )

    def __init__(self) -> None:
        self.content_length = -1
        self.has_date = self.has_server = False
        self.young: dict[tuple[bytes, bytes], FieldLine] = {}
        self.old: dict[tuple[bytes, bytes], FieldLine] = {}
        self.names: dict[bytes, FieldName] = {}  # by how the application writes them
        self.statuses: dict[int, FieldLine] = {}
        self.server_list: list[tuple[bytes, bytes]] | None = None
        self.server_lines: list[FieldLine] = []

    def check(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool = False) -> list[FieldLine]:
        """The fields of a response, names in lower case. Fields of the connection alone (RFC 9113 section 8.2.2) are
        left out, Content-Length where `omit_length` asks for that; equal ones come once.

        Raises TypeError where an item is not a pair (bytes, bytes); ValueError for names that are no tokens, pseudo
        fields, control characters in values, a malformed Content-Length, and two that differ.
        """
        # Not attributes yet: code of the application may run here that calls this once more.
        content_length = -1
        has_date = has_server = False
        lines: list[FieldLine] = []
        index = 0
        for item in headers:
            try:
                line = self.young.get(item) if type(item) is tuple else None
            except (TypeError, ValueError):  # a bytearray has no hash, nor has a memoryview of one
                line = None
            if line is None:
                line = self.find(item, index)
            index += 1
            kind = line.name.kind
            if kind:
                if kind == DATE:
                    has_date = True
                elif kind == SERVER:
                    has_server = True
                elif kind == FORBIDDEN:
                    continue
                elif kind == LENGTH:
                    if 0 <= content_length != line.length:
                        raise ValueError("Two content-length headers that differ")
                    first = content_length < 0
                    content_length = line.length
                    if not first or omit_length:
                        continue
            lines.append(line)
        self.content_length = content_length
        self.has_date = has_date
        self.has_server = has_server
        return lines

    def find(self, item: tuple[bytes, bytes], index: int) -> FieldLine:
        """A field that was not seen lately."""
        given = plain_field(item, index)
        pair = checked_field(given, index)
        name = self.name(pair[0])
        if name.name is not pair[0]:
            pair = (name.name, pair[1])
        line = self.young.get(pair)
        if line is None:
            line = self.old.get(pair)
        if line is None:
            line = FieldLine.__new__(FieldLine)  # without the detour over its constructor
            line.fill(name, pair[1])
            if name.kind == LENGTH:
                line.length = decimal(pair[1])
                if line.length < 0:
                    raise ValueError(f"Invalid content-length: {pair[1]!r}")
        if line.size <= LONGEST_KNOWN_BYTES:
            if len(self.young) >= KNOWN:
                self.old = self.young
                self.young = {}
            self.young[pair] = line
            if given is not pair and given != pair:
                self.young[given] = line
        return line

    def name(self, given: bytes) -> FieldName:
        """What is known of a name, as the application writes it."""
        name = self.names.get(given)
        if name is None:
            name = FieldName(given.lower())
            if len(given) <= LONGEST_KNOWN_BYTES:
                if len(self.names) >= KNOWN_NAMES:
                    self.names.clear()
                self.names[given] = name
        return name

    def status(self, status: int) -> FieldLine:
        """The :status field."""
        line = self.statuses.get(status)
        if line is None:
            line = self.statuses[status] = FieldLine(b":status", b"%d" % status)
        return line

    def server(self, pairs: list[tuple[bytes, bytes]]) -> list[FieldLine]:
        """The lines of the server's own fields, which are the same list for a second."""
        if pairs is not self.server_list:
            content_length, date, server = self.content_length, self.has_date, self.has_server
            self.server_lines = self.check(pairs)
            self.content_length, self.has_date, self.has_server = content_length, date, server
            self.server_list = pairs
        return self.server_lines


class FrameWriter:
    """Writes the frames of one server into `out`, which `take` empties."""

    __slots__ = (
        "entries",
        "first",
        "inserted",
        "limit",
        "max_frame_size",
        "numbers",
        "out",
        "resized",
        "smallest",
        "used",
    )

    def __init__(self) -> None:
        self.out = Octets()
        self.max_frame_size = 16384  # the peer's
        # the dynamic table
        self.limit = TABLE_BYTES
        self.smallest = TABLE_BYTES  # since the last block
        self.resized = False
        self.entries: list[FieldLine | None] = []  # oldest first, from `first` on
        self.first = 0
        self.used = 0
        self.inserted = 0
        self.numbers: dict[FieldLine, int] = {}

    def take(self) -> bytes:
        """The octets written since the last call."""
        return self.out.take()

    def frame(self, length: int, kind: int, flags: int, stream_id: int) -> None:
        """The head of a frame."""
        self.out.frame(length, kind, flags, stream_id)

    def data(self, stream_id: int, data: bytes, end: bool) -> None:
        """A DATA frame; the caller keeps to the peer's windows and frame size."""
        self.frame(len(data), 0, 1 if end else 0, stream_id)
        if data:
            self.out.add(data)

    def headers(
        self, stream_id: int, status: FieldLine, lines: list[FieldLine], more: list[FieldLine], end: bool
    ) -> None:
        """A final or interim head."""
        start = len(self.out)
        self.frame(0, 1, 5 if end else 4, stream_id)
        if self.resized:
            self.tell_resize()
        self.line(status)
        for line in lines:
            self.line(line)
        for line in more:
            self.line(line)
        self.end_block(start, start + 9, stream_id)

    def trailers(self, stream_id: int, lines: list[FieldLine]) -> None:
        """Trailer fields, the end of a response."""
        start = len(self.out)
        self.frame(0, 1, 5, stream_id)
        if self.resized:
            self.tell_resize()
        for line in lines:
            self.line(line)
        self.end_block(start, start + 9, stream_id)

    def push_promise(self, stream_id: int, promised: int, lines: list[FieldLine]) -> None:
        """PUSH_PROMISE (RFC 9113 section 6.6)."""
        start = len(self.out)
        self.frame(0, 5, 4, stream_id)
        self.out.add(promised.to_bytes(4, "big"))
        if self.resized:
            self.tell_resize()
        for line in lines:
            self.line(line)
        self.end_block(start, start + 9, stream_id)

    def end_block(self, start: int, payload: int, stream_id: int) -> None:
        """Puts the length into the frame's head, and cuts a block that is longer than a frame."""
        out = self.out
        length = len(out) - payload
        if length <= self.max_frame_size:
            out.put_length(start, length)
            return
        block = out.cut(payload)
        kind, flags = out.cut(start)[3:5]
        out.frame(self.max_frame_size, kind, flags & ~4, stream_id)
        out.add(block[: self.max_frame_size])
        for at in range(self.max_frame_size, length, self.max_frame_size):
            piece = block[at : at + self.max_frame_size]
            out.frame(len(piece), 9, 4 if at + len(piece) == length else 0, stream_id)
            out.add(piece)

    def line(self, line: FieldLine) -> None:
        """One field."""
        if line.exact:
            self.out.octet(128 | line.exact)
            return
        number = self.numbers.get(line)
        if number is not None:
            index = STATIC_LENGTH + 1 + self.inserted - number
            if index < 127:
                self.out.octet(128 | index)
            else:
                self.out.add(encode_integer(index, 7, 128))
            return
        line.uses += 1
        if line.uses < 2 or not line.name.indexed or line.size * 4 > self.limit:
            self.out.add(line.plain)
            return
        self.out.add(line.name.inserting)
        self.out.add(encode_string(line.value))
        self.evict(self.limit - line.size)
        self.entries.append(line)
        self.used += line.size
        self.inserted += 1
        self.numbers[line] = self.inserted

    def evict(self, room: int) -> None:
        """Drops the oldest entries until what is left has at most `room` octets."""
        while self.used > room:
            line = self.entries[self.first]
            assert line is not None
            self.entries[self.first] = None
            self.first += 1
            self.used -= line.size
            del self.numbers[line]
        if self.first > 64 and self.first * 2 > len(self.entries):
            del self.entries[: self.first]
            self.first = 0

    def resize(self, size: int) -> None:
        """The peer's HEADER_TABLE_SIZE; told in the next block (RFC 7541 section 4.2)."""
        size = min(size, TABLE_BYTES)
        if size != self.limit:
            self.smallest = min(self.smallest, size) if self.resized else size
            self.limit = size
            self.resized = True
            self.evict(size)

    def tell_resize(self) -> None:
        """Size updates at the start of a block: the smallest since the last one, and the last."""
        if self.smallest < self.limit:
            self.out.add(encode_integer(self.smallest, 5, 0x20))
        self.out.add(encode_integer(self.limit, 5, 0x20))
        self.resized = False

    # -- frames without fields

    def settings(self, settings: list[tuple[int, int]]) -> None:
        self.frame(6 * len(settings), 4, 0, 0)
        for name, value in settings:
            self.out.add(name.to_bytes(2, "big") + value.to_bytes(4, "big"))

    def settings_ack(self) -> None:
        self.frame(0, 4, 1, 0)

    def ping(self, data: bytes, ack: bool) -> None:
        self.frame(8, 6, 1 if ack else 0, 0)
        self.out.add(data)

    def reset(self, stream_id: int, code: int) -> None:
        self.frame(4, 3, 0, stream_id)
        self.out.add(code.to_bytes(4, "big"))

    def window_update(self, stream_id: int, increment: int) -> None:
        self.frame(4, 8, 0, stream_id)
        self.out.add(increment.to_bytes(4, "big"))

    def goaway(self, last_stream_id: int, code: int) -> None:
        self.frame(8, 7, 0, 0)
        self.out.add(last_stream_id.to_bytes(4, "big") + code.to_bytes(4, "big"))
