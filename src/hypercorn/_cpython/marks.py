"""Marks that tell libraries that a function returns a coroutine, where it is not written as `async def`.

Since Python 3.12 the mark is public (`inspect.markcoroutinefunction`). Before, asyncio's own mark is the only one, and
it is private: `asyncio.iscoroutinefunction` looks for it, and asgiref uses that function.

Invariant: `asyncio.iscoroutinefunction(f)` is true for a marked function, and calling it is what it was before.
What breaks it: an asyncio without the mark, which before Python 3.12 no release is. The function is then not marked,
and asgiref warns that the application's `send` is no coroutine function.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hypercorn._cpython import PLAIN


def mark_coroutine_function(function: Callable[..., Any]) -> None:
    """Marks a function of a class for `inspect.iscoroutinefunction` and `asyncio.iscoroutinefunction`."""
    mark_it = getattr(inspect, "markcoroutinefunction", None)
    if mark_it is not None:
        mark_it(function)
        return
    if PLAIN:
        return
    from asyncio import coroutines

    mark = getattr(coroutines, "_is_coroutine", None)
    if mark is not None:
        function._is_coroutine = mark  # type: ignore[attr-defined]


def application_method(function: Callable[..., Any]) -> Callable[..., Any]:
    """Makes `receive` or `send` of an exchange: a method that libraries take for a coroutine function.

    Before Python 3.12 a compiled function cannot be marked: there, one of Python's own stands before it.
    """
    method = function
    try:
        mark_coroutine_function(method)
    except AttributeError:

        def method(self: Any, *message: Any) -> Any:
            return function(self, *message)

        method.__name__ = function.__name__
        method.__doc__ = function.__doc__
        mark_coroutine_function(method)
    method.__qualname__ = f"ASGIExchange.{function.__name__}"
    return method
