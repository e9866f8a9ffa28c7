"""The process of the preemption hook: calls the function, and tells the server what it returned or raised."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import threading
import traceback
from collections.abc import Awaitable
from contextlib import suppress
from math import inf

TRACEBACK_BYTES = 16384  # of one that are told: its end


def answer_for(name: str) -> None:
    """Calls "module:function", and writes what it came to."""
    output = os.dup(1)
    os.dup2(2, 1)  # what the function prints
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal or a service, they are for the server
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=end_with_server, daemon=True).start()
    seconds, error = None, None
    try:
        module, _, function = name.partition(":")
        seconds = seconds_of(getattr(importlib.import_module(module), function)())
    except BaseException:
        error = traceback.format_exc()[-TRACEBACK_BYTES:].rstrip()
    line = json.dumps({"seconds": seconds, "error": error}).encode() + b"\n"
    while line:
        line = line[os.write(output, line) :]
    os._exit(0)  # whatever threads the function has left


def seconds_of(result: object) -> float | None:
    """What the function returned, awaited where it is an async one. Raises TypeError or ValueError for what is neither
    None nor a number of seconds."""
    if inspect.isawaitable(result):
        result = asyncio.run(outcome(result))
    if result is None:
        return None
    if isinstance(result, bool) or not isinstance(result, (int, float)):
        raise TypeError(f"the hook returned {result!r}; return the seconds that are left, or None")
    if not 0 <= result < inf:
        raise ValueError(f"the hook returned {result!r} seconds; return what is left, 0 or more, or None")
    return float(result)


async def outcome(awaitable: Awaitable[object]) -> object:
    """The result of any awaitable."""
    return await awaitable


def end_with_server() -> None:
    """Ends the process when the server is gone: its end of this pipe is closed then."""
    with suppress(OSError):
        while os.read(0, 1024):
            pass
    os._exit(0)
