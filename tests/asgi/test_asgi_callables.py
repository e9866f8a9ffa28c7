"""What an application gets as `receive` and `send`: callables like bound methods, in both builds."""

from __future__ import annotations

import functools
import inspect
import weakref
from typing import Any

import pytest

from hypercorn.asgi.call import receive_of, send_of
from hypercorn.asgi.http import HTTPStream
from hypercorn.asgi.websocket import WebSocketStream


@pytest.fixture(params=[HTTPStream, WebSocketStream])
def stream(request: pytest.FixtureRequest) -> Any:
    return request.param.__new__(request.param)


def test_they_look_like_methods(stream: Any) -> None:
    receive, send = receive_of(stream), send_of(stream)
    assert (receive.__name__, send.__name__) == ("receive", "send")
    assert receive.__self__ is send.__self__ is stream
    assert receive == receive_of(stream)
    assert send == send_of(stream)
    assert receive != send
    assert hash(send) == hash(send_of(stream))
    assert send != send_of(type(stream).__new__(type(stream)))
    assert list(inspect.signature(receive).parameters) == []
    assert list(inspect.signature(send).parameters) == ["message"]
    assert not inspect.iscoroutinefunction(send)
    assert weakref.ref(send)() is send
    assert "send" in repr(send)

    @functools.wraps(send)
    async def wrapper(message: Any) -> None:
        await send(message)

    assert wrapper.__name__ == "send"


def test_they_are_called_like_methods() -> None:
    stream: Any = HTTPStream.__new__(HTTPStream)
    send, receive = send_of(stream), receive_of(stream)
    stream.gone = True
    for call in (
        lambda: send({"type": "x"}),
        lambda: send(message={"type": "x"}),
        lambda: functools.partial(send)({"type": "x"}),
        lambda: send(*[{"type": "x"}]),
    ):
        with pytest.raises(OSError, match="the client is gone"):
            call()
    for wrong in (
        lambda: send(),
        lambda: send(1, 2),
        lambda: send(other={}),
        lambda: send({}, message={}),
        lambda: receive(1),
        lambda: receive(x=1),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert inspect.isawaitable(receive())
