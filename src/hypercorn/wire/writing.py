"""What the HTTP/1.1 codec writes: header fields. Written once over `http1_primitives`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hypercorn.wire.http1_primitives import connection_options, decimal, field_kind, write_field
from hypercorn.wire.octets import Octets
from hypercorn.wire.tables import (
    K_CODING,
    K_CONNECTION,
    K_DATE,
    K_LENGTH,
    K_SERVER,
    OPTION_CLOSE,
    W_NAME,
    W_PSEUDO,
)

__all__ = (
    "FieldEncoder",
    "checked_field",
    "encode_last_chunk",
    "plain_field",
)

_ANSWERS = 32  # heads of responses that an encoder remembers
_ANSWER_FIELDS = 32  # fields of one
_ANSWER_BYTES = 1024  # of its names and values


class Answer:
    """Header fields that an application gave, and what was made of them."""

    __slots__ = ("close", "content_length", "has_date", "has_server", "headers", "made", "omit_length", "used")

    def __init__(self, headers: Any, made: bytes, omit_length: bool, encoder: FieldEncoder) -> None:
        self.headers = headers
        self.made = made
        self.omit_length = omit_length
        self.content_length = encoder.content_length
        self.close = encoder.close
        self.has_date = encoder.has_date
        self.has_server = encoder.has_server
        self.used = False  # since another wanted its place


class FieldEncoder:
    """Writes the header fields of responses. One serves a worker; what it learned holds until the next call.

    content_length: what the application announced in bytes, -1 where it did not
    close: the application's Connection field had the token `close`
    has_date, has_server: the application gave these fields itself
    """

    __slots__ = ("_answers", "close", "content_length", "has_date", "has_server")

    def __init__(self) -> None:
        self.content_length = -1
        self.close = self.has_date = self.has_server = False
        self._answers: list[Answer | None] = [None] * _ANSWERS

    def encode(self, headers: Iterable[tuple[bytes, bytes]], omit_length: bool = False) -> bytes:
        """Returns `name: value` lines with CRLF, in order, the case of names as given (RFC 9112 section 5).

        SP and HTAB around names and values go. Transfer-Encoding and Connection are left out, for the server
        decides about both, and so is Content-Length where `omit_length` asks for that; equal ones come once.
        Raises TypeError where an item is not a pair (bytes, bytes); ValueError for names that are no tokens,
        pseudo headers, control characters in values, a malformed Content-Length, and two that differ.
        """
        slot = _slot_of(headers)
        if slot >= 0:
            answer = self._answers[slot]
            if answer is not None and answer.omit_length == omit_length and answer.headers == headers:
                answer.used = True
                self.content_length = answer.content_length
                self.close = answer.close
                self.has_date = answer.has_date
                self.has_server = answer.has_server
                return answer.made
        # First, as code of the application may run here that calls this once more.
        pairs = [plain_field(item, index) for index, item in enumerate(headers)]
        self.content_length = -1
        self.close = self.has_date = self.has_server = False
        out = Octets()
        for index, (name, value) in enumerate(pairs):
            self._add(out, name, value, index, omit_length)
        made = out.take()
        if slot >= 0:
            self._remember(slot, headers, made, omit_length)
        return made

    def _add(self, out: Octets, name: bytes, value: bytes, index: int, omit_length: bool) -> None:
        """Writes a field, unless it is left out, and notes what the server has to know."""
        kind = field_kind(name, value)
        if kind < 0:
            raise _invalid(-kind, name, value, index)
        if kind == K_CODING:
            return
        if kind == K_CONNECTION:
            self.close = self.close or connection_options(value) & OPTION_CLOSE != 0
            return
        if kind == K_DATE:
            self.has_date = True
        elif kind == K_SERVER:
            self.has_server = True
        elif kind == K_LENGTH:
            value = value.strip(b" \t")
            length = decimal(value)
            if length < 0:
                raise ValueError(f"Invalid content-length: {value!r}")
            first = self.content_length < 0
            if not first and self.content_length != length:
                raise ValueError("Two content-length headers that differ")
            self.content_length = length
            if omit_length or not first:
                return
        write_field(out, name, value)

    def _remember(self, slot: int, headers: Any, made: bytes, omit_length: bool) -> None:
        """Keeps what was made, unless what stands in its place was used since another wanted that."""
        answer = self._answers[slot]
        if answer is not None and answer.used:
            answer.used = False
            return
        size = 0
        for pair in headers:
            if type(pair) is not tuple or type(pair[0]) is not bytes or type(pair[1]) is not bytes:
                return
            size += len(pair[0]) + len(pair[1])
        if size <= _ANSWER_BYTES:
            self._answers[slot] = Answer(headers[:], made, omit_length, self)


def _slot_of(headers: Any) -> int:
    """The place among the answers where fields like these are looked up; -1 where they are not of the kind that is
    remembered."""
    if type(headers) is not list:
        return -1
    fields, count = headers, len(headers)
    if not 0 < count <= _ANSWER_FIELDS:
        return -1
    last = fields[count - 1]
    if type(last) is not tuple:
        return -1
    pair = last
    if len(pair) != 2 or type(pair[1]) is not bytes:
        return -1
    value = pair[1]
    return (11 * count + len(value)) % _ANSWERS


def plain_field(item: object, index: int) -> tuple[bytes, bytes]:
    """Name and value as bytes; each may come as a bytearray or memoryview. Raises TypeError for what is no such
    pair."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise TypeError(f"Header {index} is not a pair (bytes, bytes)")
    name, value = item
    if type(item) is tuple and type(name) is bytes and type(value) is bytes:
        return item
    return _plain(name, "name", index), _plain(value, "value", index)


def _plain(part: object, what: str, index: int) -> bytes:
    """Bytes, and of no class derived from them, whose methods might do anything."""
    if type(part) is bytes:
        return part
    if type(part) is bytearray or type(part) is memoryview:
        return bytes(part)
    if not isinstance(part, bytes):
        raise TypeError(f"The {what} of header {index} is not bytes, but {type(part).__name__}")
    return b"".join((part,))


def checked_field(pair: tuple[bytes, bytes], index: int) -> tuple[bytes, bytes]:
    """Name and value of a `plain_field`, trimmed and well-formed. Raises ValueError."""
    name, value = pair
    kind = field_kind(name, value)
    if kind < 0:
        raise _invalid(-kind, name, value, index)
    trimmed_name, trimmed_value = _trimmed(name), _trimmed(value)
    if trimmed_name is name and trimmed_value is value:
        return pair
    return trimmed_name, trimmed_value


def _trimmed(text: bytes) -> bytes:
    """Without SP and HTAB at its ends, which are rarely there."""
    if text and (text[0] <= 32 or text[len(text) - 1] <= 32):
        return text.strip(b" \t")
    return text


def _invalid(code: int, name: bytes, value: bytes, index: int) -> ValueError:
    """What is wrong with a field, by a number W_ of `tables`."""
    if code == W_PSEUDO:
        return ValueError("Pseudo headers are not valid")
    if code == W_NAME:
        return ValueError(f"Invalid name of header {index}: {name!r}")
    return ValueError(f"Invalid value of header {name!r}: {value!r}")


def encode_last_chunk(trailers: bytes) -> bytes:
    """The end of a chunked body; `trailers` are field lines as `FieldEncoder.encode` gives them."""
    return b"0\r\n%b\r\n" % trailers
