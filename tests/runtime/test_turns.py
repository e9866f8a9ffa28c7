"""Bursts of one client on every loop: the loop has its turns in between, and answers leave before the next steps.

Nothing here depends on how fast the machine is: steps are counted, not timed. A step lasts a millisecond or more.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import trio
from tests.runtime.test_http2 import Client
from tests.runtime.test_tls import Certificates, certificates
from tests.support.http2 import GET, headers
from tests.support.http3 import LiveClient
from tests.support.http3 import request as http3_request
from tests.support.live import DRIVERS, Live, eventually, in_trio, pause, respond
from tests.support.peer import request
from tests.support.websocket import LiveWebSocket, frame

__all__ = ("certificates",)  # a fixture

BURST = 100  # requests or messages
AT_MOST = 20  # steps of a millisecond between two rounds of the loop


class Steps:
    """An application whose steps block for a millisecond, beside a task that counts the rounds of the loop."""

    def __init__(self) -> None:
        self.rounds = [0]  # the steps in each round
        self.over = False

    def step(self) -> None:
        time.sleep(0.001)
        self.rounds[-1] += 1

    async def tick(self) -> None:
        while not self.over:
            self.rounds.append(0)
            await pause(0)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await (self.live_on_trio(receive) if in_trio() else self.live_on_asyncio(receive))
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (message := await receive())["type"] == "websocket.receive":
                self.step()
                await send({"type": "websocket.send", "text": message["text"]})
        else:
            self.step()
            await respond(send, b"x")

    async def live_on_trio(self, receive: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.tick)
            await receive()
            self.over = True

    async def live_on_asyncio(self, receive: Any) -> None:
        task = asyncio.create_task(self.tick())
        await receive()
        self.over = True
        await task


def pipelined(live: Live) -> None:
    with live.connect() as peer:
        peer.send(request() * BURST)
        assert [peer.response().body for _ in range(BURST)] == [b"x"] * BURST


def over_http2(live: Live) -> None:
    with live.connect() as peer:
        client = Client(peer)
        streams = range(1, 2 * BURST, 2)
        client.send(*(headers(stream, GET) for stream in streams))
        assert [client.answer(stream).body for stream in streams] == [b"x"] * BURST


def over_http3(live: Live) -> None:
    with LiveClient(live.port) as client:
        streams = [client.send(http3_request()) for _ in range(BURST)]
        client.wire.settle(lambda: all(client.answer(stream).over for stream in streams))
        assert [bytes(client.answer(stream).body) for stream in streams] == [b"x"] * BURST


def over_websocket(live: Live) -> None:
    ws = LiveWebSocket(live.connect())
    ws.peer.send(b"".join(frame(1, b"%d" % number) for number in range(BURST)))
    assert [ws.read().payload for _ in range(BURST)] == [b"%d" % number for number in range(BURST)]
    ws.close(1000)


CARRIERS: list[Callable[[Live], None]] = [pipelined, over_http2, over_http3, over_websocket]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_the_loop_has_its_turn(
    serve_app: Any, driver: str, certificates: Certificates, carrier: Callable[[Live], None]
) -> None:
    options: dict[str, Any] = {}
    if carrier is over_http3:
        if driver != DRIVERS[0]:
            pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
        options = {"http3": True, "certfile": certificates.certfile, "keyfile": certificates.keyfile}
    app = Steps()
    live = serve_app(app, lifespan="on", **options)
    carrier(live)
    live.stop()
    assert sum(app.rounds) == BURST
    assert max(app.rounds) <= AT_MOST


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_the_first_answer_of_a_burst_does_not_wait_for_the_others(serve_app: Any, kind: str) -> None:
    """The client has it before the third of the steps behind it ends."""
    answered = threading.Event()
    steps: list[bool] = []

    def step() -> None:
        time.sleep(0.002)
        steps.append(len(steps) != 3 or answered.wait(5))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            step()
            await respond(send, b"x")
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            step()
            await send({"type": "websocket.send", "text": message["text"]})

    live = serve_app(app, lifespan="off")
    if kind == "http":
        with live.connect() as peer:
            peer.send(request() * 20)
            peer.response()
            answered.set()
            for _ in range(19):
                peer.response()
    else:
        ws = LiveWebSocket(live.connect())
        ws.peer.send(frame(1, b"x") * 20)
        ws.read()
        answered.set()
        for _ in range(19):
            ws.read()
        ws.close(1000)
    assert steps == [True] * 20


REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST_ID", default="none")


def test_the_record_of_a_timeout_has_no_other_requests_variables(serve_app: Any) -> None:
    """The sweep that finds it may have been arranged for in the step of another client's request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        REQUEST_ID.set("of the other one")
        await respond(send, b"x")

    live = serve_app(app, lifespan="off", access=True, header_timeout=0.5, keep_alive_timeout=0.2)
    seen: list[tuple[str, str]] = []

    def look(record: logging.LogRecord) -> bool:
        seen.append((record.getMessage().split('"')[2].split()[0], REQUEST_ID.get()))
        return True

    live.config.access_log.addFilter(look)
    with live.connect() as slow, live.connect() as other:
        slow.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le")
        assert other.get().status == 200
        assert slow.response().status == 408
    eventually(lambda: len(seen) == 2)
    assert seen == [("200", "of the other one"), ("408", "none")]
