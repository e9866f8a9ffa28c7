"""Pending input of the HTTP/1.1 codec: the object that was fed, or a buffer where pieces had to be joined."""

from __future__ import annotations

from hypercorn.wire.head import HeadLines
from hypercorn.wire.http1_primitives import part

__all__ = ("Input",)


class Input(HeadLines):
    """Bytes that were fed and not yet taken. An empty one holds no buffer."""

    __slots__ = ("_closed", "_data", "_end", "_pos")

    def __init__(self) -> None:
        super().__init__()
        self._data: bytes | bytearray = b""
        self._pos = self._end = 0
        self._closed = False  # nothing more is taken

    def buffered(self) -> int:
        """Bytes held but not yet parsed."""
        return self._end - self._pos

    def feed(self, data: bytes) -> None:
        """Appends received bytes; copies nothing while nothing is pending. Raises TypeError for non-bytes."""
        if type(data) is not bytes:
            raise TypeError("feed() takes bytes")
        if not data or self._closed:
            return
        if self._pos == self._end:
            self._data = data  # the object itself
        else:
            pending = self._data
            if isinstance(pending, bytes):
                pending = bytearray(memoryview(pending)[self._pos :])
            elif self._pos:
                del pending[: self._pos]
            pending += data
            self._data = pending
        self._pos = 0
        self._end = len(self._data)

    def take_rest(self) -> bytes:
        """Hands out all bytes that were not parsed, and forgets them: for a switch of protocol."""
        rest = self._take(self._end - self._pos)
        self._release()
        return rest

    def _release(self) -> None:
        self._data = b""
        self._pos = self._end = self.scanned = 0

    def _keep(self) -> None:
        """A small rest moves out, so that it does not hold a large read alive."""
        if (self._end - self._pos) * 4 < self._end and type(self._data) is bytes:
            self._data = part(self._data, self._pos, self._end)
            self._end -= self._pos
            self._pos = 0

    def _take(self, count: int) -> bytes:
        """The next `count` bytes: the very object that was fed where it is nothing else."""
        start = self._pos
        self._pos = start + count
        if start == 0 and count == self._end and type(self._data) is bytes:
            return self._data
        return part(self._data, start, self._pos)
