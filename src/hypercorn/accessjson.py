"""An access record as one line of JSON."""

from __future__ import annotations

import json.encoder
from time import gmtime, strftime, time
from typing import Any

__all__ = ("JSONLines",)

_quote: Any = json.encoder.encode_basestring_ascii
_NULL = "null"
KNOWN, LONGEST = 1024, 256  # texts that are kept as they are written, and the bytes of one
_known: dict[bytes, str] = {}


class JSONLines:
    """Makes the lines. The time is formatted once a second."""

    __slots__ = ("second", "stamp")

    def __init__(self) -> None:
        self.second = 0
        self.stamp = ""

    def line(self, scope: dict[str, Any], status: Any, response_headers: Any, sent: int, duration: float) -> str:
        """The record of one request; a `status` of None is one that was never sent, `duration` is seconds."""
        now = time()
        second = int(now)
        if second != self.second:
            self.stamp = strftime('{"time":"%Y-%m-%dT%H:%M:%S.', gmtime(second))
            self.second = second
        milliseconds = int((now - second) * 1000)
        seconds = int(duration)
        microseconds = int((duration - seconds) * 1_000_000)
        host = agent = referer = request_id = _NULL
        for name, value in scope["headers"]:
            if name == b"host":
                host = quoted(value)
            elif name == b"user-agent":
                agent = quoted(value)
            elif name == b"referer":
                referer = quoted(value)
            elif name == b"x-request-id":
                request_id = quoted(value)
        if request_id is _NULL:
            for name, value in response_headers:
                if name == b"x-request-id":
                    request_id = quoted(value)
        client = scope["client"]
        return "".join(
            (
                self.stamp,
                f'{milliseconds:03d}Z","client":',
                _NULL if client is None else _quote(client[0]),
                ',"method":',
                _quote(scope.get("method", "GET")),
                ',"scheme":"',
                scope["scheme"],
                '","host":',
                host,
                ',"path":',
                quoted(scope["raw_path"]),
                ',"query":',
                quoted(scope["query_string"]),
                ',"protocol":"HTTP/',
                scope["http_version"],
                '","status":',
                _NULL if status is None else str(status),
                f',"bytes":{sent},"duration":{seconds}.{microseconds:06d},"referer":',
                referer,
                ',"user_agent":',
                agent,
                ',"request_id":',
                request_id,
                "}",
            )
        )


def quoted(value: bytes) -> str:
    """Bytes of a peer between quotes, all but printable ASCII escaped. Most are those of a request before."""
    text: str | None = _known.get(value)
    if text is None:
        text = _quote(value.decode("latin-1"))
        if len(value) <= LONGEST:
            if len(_known) >= KNOWN:
                _known.clear()
            _known[value] = text
    return text
