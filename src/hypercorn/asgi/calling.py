"""An application call as Python's own objects: the task's coroutine, and the functions `receive` and `send`.

This module is never compiled. A task's coroutine has to be one of Python's own; and compiled functions cannot be marked
as coroutine functions before Python 3.12.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType
from typing import Any, Protocol

from hypercorn._cpython.marks import mark_coroutine_function


class ApplicationCall(Protocol):
    """An exchange as its call sees it."""

    runtime: Any

    def call(self) -> Any:
        """Calls the application. Returns its awaitable."""

    def end_call(self, error: BaseException | None) -> None:
        """Takes how the call ended."""


async def run_call(exchange: ApplicationCall) -> None:
    """Calls an exchange's application, and tells the exchange how that ended.

    The exchange is told outside of the `except` block: what the server does next, such as starting the next request of
    the connection, must not have this call's exception as its context. Raises what the application raised, so that
    the task ends as the application did; SystemExit alone is not passed on, as it would end the event loop.
    """
    failure = None
    try:
        await exchange.call()
    except BaseException as error:
        failure = error
    try:
        exchange.end_call(failure)
        if failure is not None and not isinstance(failure, SystemExit):
            raise failure
    finally:
        del failure  # its traceback refers to this frame


def application_functions(
    receiving: Callable[[Any], Any], sending: Callable[[Any, Any], Any]
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Makes the methods `receive` and `send` of exchanges, from the types of what they return."""

    def receive(self: Any) -> Any:
        """The ASGI `receive`: returns an awaitable of the next message."""
        return receiving(self)

    def send(self: Any, message: dict[str, Any]) -> Any:
        """The ASGI `send`. When awaited, it raises `ClientDisconnected` (an OSError) when the client is gone,
        `UnexpectedMessageError` for a message out of place, TypeError or ValueError for a malformed one."""
        return sending(self, message)

    for function in (receive, send):
        function.__qualname__ = f"ASGIExchange.{function.__name__}"
        mark_coroutine_function(function)
    return receive, send


async def run_call_in_turn(exchange: ApplicationCall) -> None:
    """`run_call` for a task that is no eager one: it begins when the runtime has time for it."""
    runtime = exchange.runtime
    while not runtime.begins():
        await runtime.later_round()
    await run_call(exchange)


def under_name_of(
    app: Callable[..., Any], run_call: Callable[[Any], Coroutine[Any, Any, None]] = run_call
) -> Callable[[Any], Coroutine[Any, Any, None]]:
    """`run_call`, or the other one, under another name: its coroutines have the one that the application's have. Tasks
    are known by it in the messages of cancellations, in asyncio's debug output and in monitoring tools."""
    while isinstance(app, partial):
        app = app.func
    function: Any = app if hasattr(app, "__qualname__") else type(app).__call__
    name, qualified = getattr(function, "__name__", None), getattr(function, "__qualname__", None)
    if not isinstance(name, str) or not isinstance(qualified, str):
        return run_call
    named = FunctionType(run_call.__code__, globals(), name)
    named.__qualname__ = qualified
    return named
