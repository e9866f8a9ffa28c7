"""The coroutine of an application call's task, and its name. Never compiled: it has to be one of Python's own."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hypercorn.protocol.runtime import Call

    RunCall = Callable[[Call], Coroutine[object, None, None]]


async def run_call(exchange: Call) -> None:
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


async def run_call_in_turn(exchange: Call) -> None:
    """`run_call` for a task that is no eager one: it begins when the runtime has time for it."""
    runtime = exchange.runtime
    while not runtime.may_begin():
        await runtime.next_round()
    await run_call(exchange)


def without_partials(app: Callable[..., object]) -> Callable[..., object]:
    """Returns what a call runs in the end, below any number of `functools.partial` objects."""
    while isinstance(app, partial):
        app = app.func
    return app


def under_name_of(app: Callable[..., object], run_call: RunCall = run_call) -> RunCall:
    """`run_call`, or the other one, under another name: its coroutines have the one that the application's have. Tasks
    are known by it in the messages of cancellations, in asyncio's debug output and in monitoring tools."""
    app = without_partials(app)
    function: Callable[..., object] = app if hasattr(app, "__qualname__") else type(app).__call__
    name, qualified = getattr(function, "__name__", None), getattr(function, "__qualname__", None)
    if not isinstance(name, str) or not isinstance(qualified, str):
        return run_call
    named = FunctionType(run_call.__code__, globals(), name)
    named.__qualname__ = qualified
    return named
