"""The output of the pure codec: header fields, chunks, whole responses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import final

from hypercorn.wire.grammar import CONTROL, LARGEST, NAME, elements

__all__ = (
    "FieldEncoder",
    "checked_field",
    "decimal",
    "encode_chunk",
    "encode_last_chunk",
    "encode_response",
    "plain_field",
)


@final
class FieldEncoder:
    """Writes the header fields of responses. One serves a worker; what it learned holds until the next call.

    content_length: what the application announced in bytes, -1 where it did not
    close: the application's Connection field had the token `close`
    has_date, has_server: the application gave these fields itself
    """

    __slots__ = ("close", "content_length", "has_date", "has_server")

    def __init__(self) -> None:
        self.content_length = -1
        self.close = self.has_date = self.has_server = False

    def encode(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool = False) -> bytes:
        """Returns `name: value` lines with CRLF, in order, the case of names as given (RFC 9112 section 5).

        SP and HTAB around names and values go. Transfer-Encoding and Connection are left out, for the server
        decides about both, and so is Content-Length where `omit_length` asks for that; equal ones come once.
        Raises TypeError where an item is not a pair (bytes, bytes); ValueError for names that are no tokens,
        pseudo headers, control characters in values, a malformed Content-Length, and two that differ.
        """
        # First, as code of the application may run here that calls this once more.
        items = [tuple(item) if isinstance(item, (tuple, list)) else item for item in headers]
        self.content_length = -1
        self.close = self.has_date = self.has_server = False
        lines = []
        for index, item in enumerate(items):
            name, value = checked_field(item, index)
            if self._written(name.lower(), value, omit_length):
                lines.append(b"%b: %b\r\n" % (name, value))
        return b"".join(lines)

    def _written(self, name: bytes, value: bytes, omit_length: bool) -> bool:
        """Notes what the server has to know; False for a field that is left out."""
        if name == b"date":
            self.has_date = True
        elif name == b"server":
            self.has_server = True
        elif name == b"transfer-encoding":
            return False
        elif name == b"connection":
            self.close = self.close or b"close" in elements(value)
            return False
        elif name == b"content-length":
            length = decimal(value)
            if length < 0:
                raise ValueError(f"Invalid content-length: {value!r}")
            if 0 <= self.content_length != length:
                raise ValueError("Two content-length headers that differ")
            first, self.content_length = self.content_length < 0, length
            return first and not omit_length
        return True


def plain_field(item: object, index: int) -> tuple[bytes, bytes]:
    """Name and value as bytes; each may come as a bytearray or memoryview. Raises TypeError for what is no such
    pair."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(f"Header {index} is not a pair (bytes, bytes)")
    name, value = item
    if type(name) is bytearray or type(name) is memoryview:
        name = bytes(name)
    if type(value) is bytearray or type(value) is memoryview:
        value = bytes(value)
    if not isinstance(name, bytes):
        raise TypeError(f"The name of header {index} is not bytes, but {type(name).__name__}")
    if not isinstance(value, bytes):
        raise TypeError(f"The value of header {index} is not bytes, but {type(value).__name__}")
    return name, value


def checked_field(item: object, index: int) -> tuple[bytes, bytes]:
    """Name and value, trimmed and well-formed. Raises TypeError as `plain_field` does, else ValueError."""
    name, value = plain_field(item, index)
    token, text = name.strip(b" \t"), value.strip(b" \t")
    if not NAME.fullmatch(token):
        if token[:1] == b":":
            raise ValueError("Pseudo headers are not valid")
        raise ValueError(f"Invalid name of header {index}: {name!r}")
    if CONTROL.search(text):
        raise ValueError(f"Invalid value of header {name!r}: {value!r}")
    return token, text


def decimal(value: bytes) -> int:
    """1*DIGIT up to 2**63-1, or -1."""
    digits = value.lstrip(b"0") or b"0"
    if not value or not value.isdigit() or len(digits) > 19 or int(digits) > LARGEST:
        return -1
    return int(digits)


def encode_chunk(data: bytes, last: bool = False) -> bytes:
    """One chunk (RFC 9112 section 7.1), with `last` the end of the body too. No data makes no chunk."""
    if type(data) is not bytes:
        raise TypeError("encode_chunk() takes bytes")
    if not data:
        return b"0\r\n\r\n" if last else b""
    return b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data) if last else b"%x\r\n%b\r\n" % (len(data), data)


def encode_last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are field lines as `FieldEncoder.encode` gives them."""
    return b"0\r\n%b\r\n" % trailers


def encode_response(
    status_line: bytes, fields: bytes, server_fields: bytes, framing: bytes, ending: bytes, body: bytes
) -> bytes:
    """Joins the parts of a response; `ending` holds the last fields of the head and the empty line."""
    return b"".join((status_line, fields, server_fields, framing, ending, body))
