"""What an application gets as `receive` and `send`: coroutine functions to whoever looks at them, in both builds."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import warnings
import weakref
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.support.harness import GET, body, serve, start

from hypercorn._cpython import PLAIN
from hypercorn.asgi.calling import run_call, under_name_of
from hypercorn.asgi.http import HTTPExchange
from hypercorn.asgi.websocket import WebSocketExchange

MESSAGE = {"type": "http.response.start", "status": 200, "headers": []}


@pytest.fixture(params=[HTTPExchange, WebSocketExchange])
def exchange(request: pytest.FixtureRequest) -> Any:
    return request.param.__new__(request.param)


def test_they_look_like_methods(exchange: Any) -> None:
    receive, send = exchange.receive, exchange.send
    assert (receive.__name__, send.__name__) == ("receive", "send")
    assert receive.__self__ is send.__self__ is exchange
    assert receive == exchange.receive
    assert send == exchange.send
    assert receive != send
    assert hash(send) == hash(exchange.send)
    assert send != type(exchange).__new__(type(exchange)).send
    assert list(inspect.signature(receive).parameters) == []
    assert list(inspect.signature(send).parameters) == ["message"]
    assert weakref.ref(send)() is send
    assert "send" in repr(send)

    @functools.wraps(send)
    async def wrapper(message: Any) -> None:
        await send(message)

    assert wrapper.__name__ == "send"


@pytest.mark.skipif(PLAIN and sys.version_info < (3, 12), reason="the mark is a private part of asyncio's")
def test_they_are_coroutine_functions(exchange: Any) -> None:
    is_coroutine_function: Any = (
        inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
    )
    assert is_coroutine_function(exchange.receive)
    assert is_coroutine_function(exchange.send)
    if sys.version_info >= (3, 12):  # before, a mark is not looked for below a partial
        assert is_coroutine_function(functools.partial(exchange.send, MESSAGE))
    for returned in (exchange.receive(), exchange.send(MESSAGE)):
        assert inspect.isawaitable(returned)
        assert asyncio.iscoroutine(returned)
        assert isinstance(returned, Coroutine)
        returned.close()


def test_they_take_the_arguments_of_asgi(exchange: Any) -> None:
    send, receive = exchange.send, exchange.receive
    for call in (
        lambda: send(MESSAGE),
        lambda: send(message=MESSAGE),
        lambda: functools.partial(send)(MESSAGE),
    ):
        call().close()
    for wrong in (lambda: send(), lambda: send(1, 2), lambda: send(other={}), lambda: receive(1), lambda: receive(x=1)):
        with pytest.raises(TypeError):
            wrong()


def answered(app: Any) -> bytes:
    """What a client gets from an application."""
    client = serve(app)
    client.send(GET)
    return client.received()


def test_send_acts_when_it_is_awaited() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        first, second = send(start()), send(body(b"whole"))
        last = send(body(b"never"))
        last.close()
        await first
        await second

    assert b"whole" in answered(app)


def test_send_raises_when_it_is_awaited() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        wrong = send({"type": "nonsense"})
        seen.append("made")
        try:
            await wrong
        except Exception as error:
            seen.append(type(error).__name__)
        await send(start())
        await send(body(b"ok"))

    assert b"ok" in answered(app)
    assert seen == ["made", "UnexpectedMessageError"]


def test_what_is_never_awaited_is_told() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        send(start(500))
        receive()
        await send(start())
        await send(body(b"ok"))

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = answered(app)
        gc.collect()
    assert answer.startswith(b"HTTP/1.1 200 ")
    texts = [str(warning.message) for warning in caught if warning.category is RuntimeWarning]
    assert texts == ["coroutine 'send' was never awaited", "coroutine 'receive' was never awaited"]


def test_nothing_is_awaited_twice() -> None:
    raised: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for one in (receive(), send(start())):
            await one
            try:
                await one
            except RuntimeError as error:
                raised.append(str(error))
        await send(body(b"ok"))

    assert b"ok" in answered(app)
    assert raised == ["cannot reuse already awaited coroutine"] * 2


def test_a_call_has_the_name_of_its_application() -> None:
    async def function(scope: Any, receive: Any, send: Any) -> None:
        """One kind of application."""

    class Class:
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Another one."""

        async def method(self, scope: Any, receive: Any, send: Any) -> None:
            """And a third."""

    class Opaque:
        __call__ = functools.partial(function)

    for app in (function, Class(), Class().method):
        plain = app({}, None, None)
        for given in (app, functools.partial(app), functools.partial(functools.partial(app))):
            coroutine = under_name_of(given)(None)  # type: ignore[arg-type]
            assert (coroutine.__name__, coroutine.__qualname__) == (plain.__name__, plain.__qualname__)
            coroutine.close()
        plain.close()
    assert under_name_of(Opaque()) is run_call
