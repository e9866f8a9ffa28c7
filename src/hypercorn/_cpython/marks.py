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
from typing import TypeVar

from hypercorn._cpython import PLAIN

_E = TypeVar("_E")
_M = TypeVar("_M")
_R = TypeVar("_R")
_S = TypeVar("_S")
Receive = Callable[[_E], _R]
Send = Callable[[_E, _M], _S]


def mark_coroutine_function(function: Callable[..., object]) -> None:
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


def application_methods(receive: Receive[_E, _R], send: Send[_E, _M, _S]) -> tuple[Receive[_E, _R], Send[_E, _M, _S]]:
    """Makes `receive` and `send` of an exchange: methods that libraries take for coroutine functions.

    Before Python 3.12 compiled functions cannot be marked: there, functions of Python's own stand before them.
    """
    methods = receive, send
    try:
        for method in methods:
            mark_coroutine_function(method)
    except AttributeError:
        methods = plain_methods(receive, send)
        for method in methods:
            mark_coroutine_function(method)
    for method in methods:
        method.__qualname__ = f"ASGIExchange.{method.__name__}"
    return methods


def plain_methods(
    compiled_receive: Receive[_E, _R], compiled_send: Send[_E, _M, _S]
) -> tuple[Receive[_E, _R], Send[_E, _M, _S]]:
    """Functions of Python's own that call these."""

    def receive(self: _E) -> _R:
        return compiled_receive(self)

    def send(self: _E, message: _M) -> _S:
        return compiled_send(self, message)

    receive.__doc__, send.__doc__ = compiled_receive.__doc__, compiled_send.__doc__
    return receive, send
