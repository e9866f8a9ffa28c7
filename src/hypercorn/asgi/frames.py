"""Frames that stand for those of `receive` and `send`, which have none. Never compiled: they have to be Python's own.

A tool that looks at tasks (a monitoring thread, `asyncio.Task.get_stack`, `inspect.getcoroutinestate`) may meet one
whose coroutine is a `send(...)`. It expects a frame until the coroutine has ended, and before Python 3.11 it tells by
the frame whether the coroutine has begun.
"""

from __future__ import annotations

import types
from collections.abc import Coroutine, Generator
from typing import Any


@types.coroutine
def wait() -> Generator[None, None, None]:
    """Where a coroutine is that waits."""
    yield


async def receive(self: Any) -> None:
    """The ASGI `receive`."""
    await wait()


async def send(self: Any, message: Any) -> None:
    """The ASGI `send`."""
    await wait()


def frames_of(created: Coroutine[Any, Any, None], begun: Coroutine[Any, Any, None]) -> tuple[Any, Any]:
    """The frame of a coroutine that has not begun, and that of one that waits."""
    begun.send(None)
    _KEPT.append(begun)  # its end would end its frame
    frame: Any = created.cr_frame  # type: ignore[attr-defined]
    created.close()  # else Python warns that it was never awaited
    return frame, begun.cr_frame  # type: ignore[attr-defined]


_KEPT: list[Coroutine[Any, Any, None]] = []
FRAMES = {
    "receive": frames_of(receive(None), receive(None)),
    "send": frames_of(send(None, None), send(None, None)),
}
