"""The task of an application call that may end in its first step, as most do.

An `asyncio.Task` costs more than a small request does. So the first step runs with a task that is current but not set
up: whoever asks `asyncio.current_task()` gets it, and whatever is asked of it sets it up. A call that ends in its first
step without that has cost one allocation; one that suspends gets its task then, which goes on where the step ended.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

# Not on later versions before it is known what a task is there.
LAZY = (3, 12) <= sys.version_info < (3, 14) and asyncio.Task.__module__ == "_asyncio"


class CallTask(asyncio.Task):  # type: ignore[type-arg]
    """A task that sets itself up when it is asked for something, or when the call suspends."""

    __slots__ = ("call",)

    call: Any  # the AppCall, until the task is set up

    def set_up(self) -> None:
        """Makes it a task, which does its step in the loop's next turn."""
        call = self.call
        if call is not None:
            self.call = None
            loop = call.stream.runtime.loop
            super().__init__(call, loop=loop, context=call.context)  # type: ignore[call-arg, unused-ignore]  # since 3.11

    def cancel(self, msg: Any = None) -> bool:
        self.set_up()
        return super().cancel(msg)

    def uncancel(self) -> int:
        self.set_up()
        return int(super().uncancel())  # type: ignore[misc]  # since 3.11

    def add_done_callback(self, callback: Any, /, *, context: Any = None) -> None:
        self.set_up()
        super().add_done_callback(callback, context=context)

    def remove_done_callback(self, callback: Any, /) -> int:
        self.set_up()
        return super().remove_done_callback(callback)

    def get_name(self) -> str:
        self.set_up()
        return super().get_name()

    def set_name(self, value: object, /) -> None:
        self.set_up()
        super().set_name(value)

    def get_coro(self) -> Any:
        self.set_up()
        return super().get_coro()

    def get_context(self) -> Any:
        self.set_up()
        return super().get_context()  # type: ignore[misc]  # since 3.12

    def get_loop(self) -> Any:
        self.set_up()
        return super().get_loop()

    def get_stack(self, *, limit: int | None = None) -> Any:
        self.set_up()
        return super().get_stack(limit=limit)

    def print_stack(self, *, limit: int | None = None, file: Any = None) -> None:
        self.set_up()
        super().print_stack(limit=limit, file=file)

    def result(self) -> Any:
        self.set_up()
        return super().result()

    def exception(self) -> BaseException | None:
        self.set_up()
        return super().exception()

    def __repr__(self) -> str:
        self.set_up()
        return super().__repr__()

    def __await__(self) -> Any:
        self.set_up()
        return super().__await__()

    __iter__ = __await__
