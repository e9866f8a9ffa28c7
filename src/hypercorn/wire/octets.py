"""Octets that are put together for output: frames and what is in them."""

from __future__ import annotations

__all__ = ("Octets",)


class Octets(bytearray):
    """A buffer that grows, and is emptied by `take`."""

    octet = bytearray.append  # appends one
    add = bytearray.extend  # appends all of a bytes object

    def frame(self, length: int, kind: int, flags: int, stream_id: int) -> None:
        """Appends the head of an HTTP/2 frame (RFC 9113 section 4.1)."""
        self += length.to_bytes(3, "big") + bytes((kind, flags)) + (stream_id & 0x7FFFFFFF).to_bytes(4, "big")

    def put_length(self, start: int, length: int) -> None:
        """Sets the length in the head of the frame that begins at `start`. Raises IndexError."""
        if not 0 <= start <= len(self) - 3:
            raise IndexError("no frame begins there")
        self[start : start + 3] = length.to_bytes(3, "big")

    def cut(self, start: int) -> bytes:
        """Takes what stands from `start` on. Raises IndexError."""
        if not 0 <= start <= len(self):
            raise IndexError("nothing stands there")
        data = bytes(self[start:])
        del self[start:]
        return data

    def take(self) -> bytes:
        """Takes all."""
        data = bytes(self)
        self.clear()
        return data
