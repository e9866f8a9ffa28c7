"""The fields that the server adds to the responses of applications, and has in its own."""

from __future__ import annotations

import time
from collections.abc import Iterable

from hypercorn.clock import unix_seconds

# `email.utils` has the same, and takes half a MiB with what it imports; `strftime` has the names of the locale.
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def date_text(seconds: int) -> str:
    """Returns the date of a Unix time as an IMF-fixdate (RFC 9110 section 5.6.7)."""
    year, month, day, hour, minute, second, weekday, _, _ = time.gmtime(seconds)
    return f"{DAYS[weekday]}, {day:02d} {MONTHS[month - 1]} {year:04d} {hour:02d}:{minute:02d}:{second:02d} GMT"


class ResponseFields:
    """Date, Server, Alt-Svc and those of the option `headers`, encoded once a second. One worker has one.

    date, server: whether there are such fields
    more: others, with lower-case names
    """

    __slots__ = (
        "alt_svc",
        "alt_svc_pairs",
        "date_line",
        "keep_alive_hint",
        "lines",
        "more",
        "more_pairs",
        "pairs",
        "second",
        "secure_alt_svc",
        "server_line",
        "with_date",
    )

    def __init__(self, date: bool = True, server: bool = True, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self.with_date = date
        self.server_line = b"server: hypercorn-h11\r\n" if server else b""
        self.more_pairs = list(more)
        self.more = as_lines(self.more_pairs)
        self.alt_svc = b""
        self.alt_svc_pairs: list[tuple[bytes, bytes]] = []
        self.secure_alt_svc = False  # the alt-svc fields are not for responses without TLS
        # The end of a head whose connection is kept: with a Keep-Alive field, where that is wanted (RFC 2068 19.7.1.1).
        self.keep_alive_hint = b"\r\n"
        self.second = 0  # the second that the fields below are of
        self.date_line = b""
        self.lines = b""
        self.pairs: list[tuple[bytes, bytes]] = []

    def set_alt_svc(self, values: Iterable[str]) -> None:
        """Sets the values of the alt-svc fields (RFC 7838)."""
        self.alt_svc_pairs = [(b"alt-svc", value.encode()) for value in values]
        self.alt_svc = as_lines(self.alt_svc_pairs)
        self.second = 0  # what was put together before does not hold

    def set_keep_alive(self, seconds: float) -> None:
        """Tells clients of HTTP/1 how long an idle connection is kept."""
        self.keep_alive_hint = b"keep-alive: timeout=%d\r\n\r\n" % seconds

    def renew(self, now: int) -> None:
        """A new second has begun."""
        self.second = now
        date = date_text(now).encode()
        self.date_line = b"date: %b\r\n" % date if self.with_date else b""
        self.lines = self.date_line + self.server_line + self.more + self.alt_svc
        self.pairs = [
            *([(b"date", date)] if self.with_date else []),
            *([(b"server", b"hypercorn-h2")] if self.server_line else []),
            *self.more_pairs,
            *self.alt_svc_pairs,
        ]

    def encoded(self, has_date: bool, has_server: bool) -> bytes:
        """The lines for an HTTP/1.1 response, which may have a date or a server field of its own."""
        now = unix_seconds()
        if now != self.second:
            self.renew(now)
        if not has_date and not has_server:
            return self.lines
        return b"".join(
            (b"" if has_date else self.date_line, b"" if has_server else self.server_line, self.more, self.alt_svc)
        )

    def in_pairs(self, has_date: bool, has_server: bool) -> list[tuple[bytes, bytes]]:
        """The same for an HTTP/2 response. The list is the same object for as long as its fields are."""
        now = unix_seconds()
        if now != self.second:
            self.renew(now)
        if not has_date and not has_server:
            return self.pairs
        absent = {b"date": has_date, b"server": has_server}
        return [pair for pair in self.pairs if not absent.get(pair[0])]


def as_lines(pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Fields as an HTTP/1.1 head has them."""
    return b"".join(b"%b: %b\r\n" % pair for pair in pairs)
