"""What the context variables of a request hold is freed when it has ended, while others go on, as with a plain task."""

from __future__ import annotations

import contextvars
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from tests.equivalence.carriers import CARRIERS, Carrier, http3_options
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import DRIVERS, pause, respond

__all__ = ("certificates",)  # a fixture

HELD: contextvars.ContextVar[object] = contextvars.ContextVar("HELD")
OTHERS = 50  # requests, within which what the first ones held has to be gone


class Thing:
    """What a request's context holds."""


class Holder:
    """An application, some of whose calls put a `Thing` into their context."""

    def __init__(self, late: bool) -> None:
        self.late = late
        self.things: list[weakref.ref[Thing]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/holds"):
            self.hold()
        await receive()
        if self.late:
            await pause(0.001)
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": "ok"})
            await send({"type": "websocket.close"})
        else:
            await respond(send)

    def hold(self) -> None:
        """Sets the variable, and keeps a weak reference."""
        thing = Thing()
        HELD.set(thing)
        self.things.append(weakref.ref(thing))

    def held(self) -> int:
        """How many things are still alive."""
        return sum(thing() is not None for thing in self.things)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only counts of references free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("late", [False, True], ids=["at-once", "late"])
@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_a_context_goes_with_its_request(
    serve_app: Any, driver: str, carrier: type[Carrier], late: bool, certificates: Certificates
) -> None:
    """The first requests of a server, in which most of its timers begin."""
    if carrier.http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    app = Holder(late)
    client = carrier(serve_app(app, lifespan="off", **(http3_options(certificates) if carrier.http3 else {})))
    try:
        for path in ("/holds/1", "/holds/2"):
            client.open(path)
            assert client.read(path) == "ok"
        for number in range(OTHERS):
            if not app.held():
                break
            client.open(f"/{number}")
            assert client.read(f"/{number}") == "ok"
    finally:
        client.close()
    assert len(app.things) == 2
    assert app.held() == 0
