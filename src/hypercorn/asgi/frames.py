"""Frames that stand for those of `receive` and `send`, which have none. Never compiled: they have to be Python's own.

A tool that looks at tasks (a monitoring thread, `asyncio.Task.get_stack`, `inspect.getcoroutinestate`) may meet one
whose coroutine is a `send(...)`. It expects a frame until the coroutine has ended, and before Python 3.11 it tells by
the frame whether the coroutine has begun.
"""

from __future__ import annotations

import types
from collections.abc import Generator
from typing import Any


@types.coroutine
def wait() -> Generator[None, None, None]:
    """Where a coroutine is that waits."""
    yield


async def receive(self: object) -> None:
    """The ASGI `receive`."""
    await wait()


async def send(self: object, message: object) -> None:
    """The ASGI `send`."""
    await wait()


def frames_of(created: Any, begun: Any) -> tuple[types.FrameType, types.FrameType]:
    """The frame of a coroutine that has not begun, and that of one that waits. Type checkers know neither."""
    begun.send(None)
    _KEPT.append(begun)  # its end would end its frame
    frame = created.cr_frame
    created.close()  # else Python warns that it was never awaited
    return frame, begun.cr_frame


_KEPT: list[object] = []
FRAMES = {
    "receive": frames_of(receive(None), receive(None)),
    "send": frames_of(send(None, None), send(None, None)),
}
