"""Drives a request parser through an input cut in any way, and writes down all that it says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

NEED_DATA, HEAD, BODY, ERROR = range(4)

FACTS = (
    "method",
    "raw_target",
    "raw_path",
    "path",
    "query_string",
    "http_version",
    "headers",
    "host",
    "keep_alive",
    "chunked",
    "content_length",
    "expect_continue",
    "upgrade",
)


@dataclass
class Message:
    """One request: the facts of its head, its body so far."""

    facts: dict[str, Any]
    complete: bool
    body: bytes = b""
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)


@dataclass
class Record:
    """What became of an input. Two records are equal when nobody could tell the inputs apart."""

    messages: list[Message] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    seen: tuple[str, bytes] = ("", b"")  # what an access log would show of a refused request
    state: tuple[bool, bool, int] | None = None

    @property
    def complete(self) -> list[Message]:
        return [message for message in self.messages if message.complete]


def play(parser: Any, pieces: Iterable[bytes]) -> Record:
    """Feeds piece after piece, taking all events after each."""
    record = Record()
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next_event()) != NEED_DATA:
            if event == ERROR:
                record.refusal = (parser.error.status, parser.error.reason)
                record.seen = (parser.method, parser.raw_target)
                return record
            if event == HEAD:
                facts = {name: getattr(parser, name) for name in FACTS}
                record.messages.append(Message(facts, parser.complete))
            else:
                assert parser.body or parser.complete
                record.messages[-1].body += parser.body
                record.messages[-1].complete = parser.complete
                if parser.complete:
                    record.messages[-1].trailers = parser.trailers
    record.state = (parser.idle, parser.in_body, parser.body_remaining)
    return record


def bytewise(raw: bytes) -> list[bytes]:
    return [raw[i : i + 1] for i in range(len(raw))]


def cut(raw: bytes, places: Iterable[int]) -> list[bytes]:
    """The input in pieces, cut at the places (taken modulo its length)."""
    borders = sorted({0, len(raw), *(place % (len(raw) + 1) for place in places)})
    return [raw[i:j] for i, j in pairwise(borders)]
