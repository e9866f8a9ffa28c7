"""The short access line, for a person at a terminal: time, method, path, status, duration."""

from __future__ import annotations

import time

from hypercorn.logs.access import AccessLogAtoms, Scope

NAME = "short"  # of the format
_COLOURS = {"1": "36", "2": "32", "3": "36", "4": "33", "5": "31"}  # by the status's first digit
_DIM = "2"

_clock: tuple[int, str] = (0, "")


def line(scope: Scope, status: int | None, seconds: float, coloured: bool) -> str:
    """One line without its end. `status` is None for a request that got no response."""
    atoms = AccessLogAtoms(scope, None, seconds)
    method = "WS" if scope.get("type") == "websocket" else atoms["m"]
    code = "-" if status is None else str(status)
    clock, took = _time(), duration(seconds)
    if coloured:
        clock, took = _paint(clock, _DIM), _paint(took, _DIM)
        code = _paint(code, _COLOURS.get(code[0], "31"))
    return f"{clock} {method} {atoms['Uq']} {code} {took}"


def duration(seconds: float) -> str:
    """A duration with three figures or so: 0.42 ms, 12 ms, 1.5 s."""
    if seconds >= 1:
        return f"{seconds:.1f} s"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.1f} ms"


def _paint(text: str, colour: str) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m"


def _time() -> str:
    global _clock
    now = int(time.time())
    if _clock[0] != now:
        _clock = (now, time.strftime("%H:%M:%S", time.localtime(now)))
    return _clock[1]
