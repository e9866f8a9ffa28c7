"""What an application, or a tool, may change about its loop or the interpreter while requests are served."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.equivalence import programs

Condition = Callable[[list[str]], Any]


@asynccontextmanager
async def factory(told: list[str]) -> AsyncIterator[None]:
    """A task factory, which is asked for the task of each call."""
    loop = asyncio.get_running_loop()

    class OwnTask(asyncio.Task):  # type: ignore[type-arg]
        """Tells of itself."""

    def make(loop: Any, coroutine: Any, **more: Any) -> Any:
        if coroutine.__qualname__.endswith("application.<locals>.app"):
            told.append(f"a call, {sorted(set(more) - {'eager_start', 'context', 'name'})}")
        return OwnTask(coroutine, loop=loop, **more)

    loop.set_task_factory(make)
    yield
    loop.set_task_factory(None)


@asynccontextmanager
async def eager_factory(told: list[str]) -> AsyncIterator[None]:
    """asyncio's own eager factory."""
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    yield
    loop.set_task_factory(None)


@asynccontextmanager
async def debug(told: list[str]) -> AsyncIterator[None]:
    """asyncio's debug mode, which complains of calls from other threads, and keeps where coroutines were made."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    yield
    loop.set_debug(False)


@asynccontextmanager
async def monitoring(told: list[str]) -> AsyncIterator[None]:
    """`sys.monitoring`: the functions of the application that start, return and are left by an exception."""
    library: Any = sys.monitoring  # type: ignore[attr-defined]
    events = library.events
    tool = 4

    def watch(name: str) -> Callable[..., None]:
        def tell(code: Any, *_: object) -> None:
            if code.co_filename == programs.__file__ and code.co_name in ("app", *programs.ACTIONS):
                told.append(f"{code.co_name} {name}")

        return tell

    library.use_tool_id(tool, "tests")
    wanted = [events.PY_START, events.PY_RETURN, events.PY_UNWIND]
    for event, name in zip(wanted, ("starts", "returns", "raises"), strict=True):
        library.register_callback(tool, event, watch(name))
    library.set_events(tool, sum(wanted))
    yield
    library.set_events(tool, 0)
    library.free_tool_id(tool)


CONDITIONS: list[Condition] = [factory, debug]
if sys.version_info >= (3, 12):
    CONDITIONS += [eager_factory, monitoring]
