"""An access record as one line of JSON."""

from __future__ import annotations

import json.encoder
from collections import deque
from collections.abc import Callable
from time import gmtime, strftime, time

from hypercorn.logs.access import Headers, Scope

__all__ = ("JSONLines", "JSONRecords")

_quote: Callable[[str], str] = json.encoder.encode_basestring_ascii
_NULL = "null"
FULL_BYTES = 262144  # bytes of records that are handed over at once
MOST_BYTES = 4194304  # bytes of records that wait at the most
KNOWN, LONGEST = 1024, 256  # texts that are kept as they are written, and the bytes of one
_known: dict[bytes, str] = {}


class JSONLines:
    """Makes the lines. The time is formatted once a second."""

    __slots__ = ("second", "stamp")

    def __init__(self) -> None:
        self.second = 0
        self.stamp = ""

    def line(self, scope: Scope, status: int | None, response_headers: Headers, sent: int, duration: float) -> str:
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
                    request_id = quoted(bytes(value))
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


class JSONRecords(JSONLines):
    """Gathers the lines of many requests, until somebody takes them.

    begin: called at the first line of a batch; gives what is called with this once there is something to take, or None
        where lines are not to be gathered now
    hurry: called once when a batch should not wait any longer
    otherwise: what then, and for a record that cannot be made, is called in place of `write`
    """

    __slots__ = ("begin", "enlisted", "gathered", "hurried", "hurry", "lines", "lost", "otherwise", "taken", "told")

    def __init__(
        self,
        begin: Callable[[], Callable[[JSONRecords], object] | None],
        hurry: Callable[[], object],
        otherwise: Callable[..., object],
    ) -> None:
        super().__init__()
        self.begin = begin
        self.hurry = hurry
        self.otherwise = otherwise
        self.enlisted = self.hurried = False
        # Each is changed by one thread alone: what gathers counts up, and so does what takes.
        self.lines: deque[str] = deque()
        self.gathered = 0  # bytes
        self.taken = 0
        self.lost = 0
        self.told = 0

    def write(self, scope: Scope, status: int | None, response_headers: Headers, sent: int, duration: float) -> None:
        """Takes one record. Never raises."""
        enlist: Callable[[JSONRecords], object] | None = None
        if not self.enlisted:
            enlist = self.begin()
            if enlist is None:
                self.otherwise(scope, status, response_headers, sent, duration)
                return
        waiting = self.gathered - self.taken
        if waiting > MOST_BYTES:
            self.lost += 1
            return
        try:
            line = self.line(scope, status, response_headers, sent, duration)
        except Exception:
            self.otherwise(scope, status, response_headers, sent, duration)
            return
        self.gathered += len(line) + 1
        self.lines.append(line)
        if not self.enlisted:  # asked again: all that was there before may have been taken meanwhile
            self.enlisted = True
            (enlist or self.begin() or self.give_up)(self)
        elif waiting > FULL_BYTES and not self.hurried:
            self.hurried = True
            self.hurry()

    def give_up(self, _: JSONRecords) -> None:
        """Lines that were gathered have nowhere to go: the log is another one by now."""
        self.take()

    def take(self) -> tuple[bytes, int] | None:
        """The lines that were gathered, as bytes, and how many were lost since the last time."""
        self.enlisted = self.hurried = False
        lines = [self.lines.popleft() + "\n" for _ in range(len(self.lines))]
        data = "".join(lines).encode("ascii")
        self.taken += len(data)
        lost = self.lost
        told, self.told = self.told, lost
        return data, lost - told


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
