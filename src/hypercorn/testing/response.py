"""A response, as the clients of `hypercorn.testing` give it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import NamedTuple


class Response(NamedTuple):
    """A response.

    headers: names in lower case, in the order in which they came
    informational: the status codes of the responses before it (103 for early hints)
    head_at: when its head came (seconds of `time.monotonic`)
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    trailers: list[tuple[str, str]]
    informational: list[int]
    head_at: float = 0.0

    def header(self, name: str) -> str | None:
        """The value of a header; those of several are joined with commas (RFC 9110 section 5.2). None without one."""
        values = [value for key, value in self.headers if key == name.lower()]
        return ", ".join(values) if values else None


class StreamReset(ConnectionError):
    """The server reset the stream of a request (RFC 9113 section 6.4). `error_code` is the code of the frame."""

    def __init__(self, error_code: int) -> None:
        super().__init__(f"the server reset the stream with error code {error_code}")
        self.error_code = error_code


class Arriving:
    """A response that has not ended."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        self.body = bytearray()
        self.trailers: list[tuple[str, str]] = []
        self.informational: list[int] = []
        self.head_at = 0.0

    def begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Takes the head of the final response."""
        self.status = status
        self.headers = [field for field in headers if field[0] != ":status"]
        self.head_at = time.monotonic()

    def whole(self) -> Response:
        """What has come so far."""
        return Response(self.status, self.headers, bytes(self.body), self.trailers, self.informational, self.head_at)


def text_of(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Header fields as text, their names in lower case."""
    return [(bytes(name).decode("ascii").lower(), bytes(value).decode("latin-1")) for name, value in headers]
