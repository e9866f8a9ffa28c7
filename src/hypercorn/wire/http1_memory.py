"""Request lines and sections of field lines that come again: a client on a kept connection sends the same ones with
every request. Written once over `http1_primitives`.

Only what was read whole and found in order is kept, with what it said, and it is taken again only for the very same
bytes. A connection's bytes are compared with the lines that it sent last, never with another's: so no client learns
from the time of an answer what others send.
"""

from __future__ import annotations

from hypercorn.wire.head import HeadLines
from hypercorn.wire.http1_primitives import key_of, part, stands_at

__all__ = ("HeadMemory",)

_PLACES = 64  # for request lines, and for sections; a power of 2
_LINE_BYTES = 512  # of the longest request line that is kept
_SECTION_BYTES = 2048  # of the longest section
_NO, _HAS, _FREE = range(3)


class Kept(HeadLines):
    """Lines that came twice, and what they said."""

    __slots__ = ("keep_case", "key", "text", "used")

    def __init__(self, text: bytes, key: int, keep_case: bool) -> None:
        super().__init__()
        self.text = text
        self.key = key
        self.keep_case = keep_case
        self.used = False  # since another wanted its place


class Shelf:
    """What is kept of one kind."""

    __slots__ = ("_seen", "kept")

    def __init__(self) -> None:
        self.kept: list[Kept | None] = [None] * _PLACES
        self._seen = bytearray(_PLACES)  # of the last key that wanted each place, eight bits

    def find(self, data: bytes | bytearray, start: int, key: int) -> Kept | None:
        """What has the key, where its text stands in `data` at `start`."""
        found = self.kept[key & _PLACES - 1]
        if found is None or found.key != key or not stands_at(data, start, found.text):
            return None
        found.used = True
        return found

    def admit(self, key: int) -> int:
        """HAS where something with the key is kept; FREE where its place may be taken, as it came before and nothing
        that is used more stands there; else NO."""
        place = key & _PLACES - 1
        there = self.kept[place]
        if there is not None and there.key == key:
            return _HAS
        if self._seen[place] != key >> 8 & 255:
            self._seen[place] = key >> 8 & 255
            return _NO
        if there is not None and there.used:
            there.used = False
            return _NO
        return _FREE


class HeadMemory:
    """The memory that the parsers of one worker share: 64 request lines and 64 sections of field lines."""

    __slots__ = ("lines", "sections")

    def __init__(self) -> None:
        self.lines = Shelf()
        self.sections = Shelf()

    def __len__(self) -> int:
        """Sections that are kept."""
        return sum(1 for kept in self.sections.kept if kept is not None)

    def keep_line(self, data: bytes | bytearray, start: int, end: int, head: HeadLines) -> int:
        """Keeps the request line `data[start:end]`, which `head` has read, when it comes for the second time. Returns
        its key, or 0 where it is not kept."""
        if end - start > _LINE_BYTES:
            return 0
        key = key_of(data, start, end)
        admitted = self.lines.admit(key)
        if admitted == _FREE:
            kept = Kept(part(data, start, end), key, False)
            kept.copy_target(head)
            self.lines.kept[key & _PLACES - 1] = kept
        return key if admitted else 0

    def keep_section(self, data: bytes | bytearray, start: int, end: int, keep_case: bool, head: HeadLines) -> int:
        """Keeps the field lines `data[start:end]`, the empty one included, as `keep_line` keeps request lines."""
        if end - start > _SECTION_BYTES or head.codings is not None or head.upgrades or head.expectation:
            return 0
        key = key_of(data, start, end)
        admitted = self.sections.admit(key)
        if admitted == _FREE:
            kept = Kept(part(data, start, end), key, keep_case)
            kept.copy_fields(head)
            self.sections.kept[key & _PLACES - 1] = kept
        return key if admitted else 0
