"""The HTTP/1.1 case file, for every suite that plays it: the codec, the connection, a live server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parent.parent / "data" / "h1_cases.json"


@dataclass(frozen=True, eq=False)
class Case:
    """One input and what this project makes of it (`recommend` decides where the RFC allows both)."""

    id: str
    group: str
    raw: bytes
    accept: bool
    status: int | None  # of a refusal
    phase: str | None  # where it happens: head, body, trailer, next, wait
    requests: list[dict[str, Any]]  # that complete, with method, target, version, headers, body, trailers
    close: bool | None
    eof: bool  # the client half-closes after sending
    layer: str  # parser, server, websocket
    why: str

    def __repr__(self) -> str:
        return f"<Case {self.id}>"


def _case(entry: dict[str, Any]) -> Case:
    accept = entry["recommend"] == "accept"
    requests = entry["requests"]
    if not accept and entry["expect"] == "either":
        # the requests of such a case are those of the lenient reading; `prefix` of them come before the error
        requests = requests[: entry.get("prefix", 0)]
    return Case(
        id=entry["id"],
        group=entry["group"],
        raw=entry["raw"].encode("latin-1"),
        accept=accept,
        status=entry["status"],
        phase=entry["phase"],
        requests=requests,
        close=entry["close"],
        eof=entry["eof"],
        layer=entry["layer"],
        why=entry["why"],
    )


@cache
def load() -> tuple[Case, ...]:
    """All cases, in the order of the file."""
    return tuple(_case(entry) for entry in json.loads(FILE.read_text(encoding="utf-8")))
