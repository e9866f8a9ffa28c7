"""Pending input of the pure codec: the object that was fed, or a buffer where pieces had to be joined."""

from __future__ import annotations

from hypercorn.wire import tables
from hypercorn.wire.grammar import CONTROL, Refused
from hypercorn.wire.head import RequestHead

__all__ = ("Input",)


class Input(RequestHead):
    """Bytes that were fed and not yet taken. An empty one holds no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self._data: bytes | bytearray = b""
        self._pos = 0
        self._scanned = 0  # of the line at _pos: bytes known to hold no control character
        self._closed = False

    def feed(self, data: bytes) -> None:
        """Appends received bytes; copies nothing while nothing is pending. Raises TypeError for non-bytes."""
        if type(data) is not bytes:
            raise TypeError("feed() takes bytes")
        if not data or self._closed:
            return
        if self._pos == len(self._data):
            self._data, self._pos = data, 0
            return
        if isinstance(self._data, bytes):
            self._data = bytearray(memoryview(self._data)[self._pos :])
        elif self._pos:
            del self._data[: self._pos]
        self._pos = 0
        self._data += data

    def take_rest(self) -> bytes:
        """Hands out all bytes that were not parsed, and forgets them: for a switch of protocol."""
        rest = bytes(self._data[self._pos :])
        self._release()
        return rest

    def buffered(self) -> int:
        """Bytes held but not yet parsed."""
        return len(self._data) - self._pos

    def _release(self) -> None:
        self._data, self._pos, self._scanned = b"", 0, 0

    def _keep(self) -> None:
        """A small rest moves out, so that it does not hold a large read alive."""
        if isinstance(self._data, bytes) and (len(self._data) - self._pos) * 4 < len(self._data):
            self._data, self._pos = self._data[self._pos :], 0

    def _take(self, count: int) -> bytes:
        """The next `count` bytes: the very object that was fed where it is nothing else."""
        data, start = self._data, self._pos
        self._pos = start + count
        if start == 0 and count == len(data) and isinstance(data, bytes):
            return data
        return bytes(data[start : start + count])

    def _line(self, limit: int, long_code: int) -> int:
        """Length of the line at hand without CRLF, which `limit` counts; -1: incomplete. Raises Refused."""
        data, start, size = self._data, self._pos, len(self._data)
        top = start + max(limit, 1)
        match = CONTROL.search(data, start + self._scanned, top)
        end = match.start() if match else min(size, top)
        length = end - start
        if length and length > limit - 2:
            raise Refused(long_code)
        if end == size or (data[end] == 13 and end + 1 == size):
            self._scanned = length
            return -1
        if data[end] != 13 or data[end + 1] != 10:
            raise Refused(tables.E_LINE)
        self._scanned = 0
        return length
