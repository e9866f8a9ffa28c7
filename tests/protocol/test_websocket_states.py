"""The states of a WebSocket, as its frames lead through them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.websocket import MemoryWebSocket, Script, websocket
from tests.wire.websocket_frames import close, frame

from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.protocol.websocket.states import CLOSING, ENDED, FAILING, LINGERING, OPEN, WEBSOCKET
from hypercorn.testing import sleep

MALFORMED = frame(3)  # an opcode that nobody has defined


class Slow:
    """Accepts, and reads a message each second."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while True:
            await sleep(1)
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            await send({"type": "websocket.send", "text": message["text"]})


def connection_of(ws: MemoryWebSocket) -> WebSocketConnection:
    connection = ws.client.transport.connection
    assert isinstance(connection, WebSocketConnection)
    return connection


def test_the_peers_close_frame_ends_it() -> None:
    ws = websocket(Script()).opened()
    connection = connection_of(ws)
    assert connection.state == OPEN
    ws.send(close(1000))
    assert connection.state == ENDED


def test_it_is_closing_until_the_peer_answers() -> None:
    ws = websocket(Script(after=({"type": "websocket.close"},), reads=0)).opened()
    connection = connection_of(ws)
    assert connection.state == CLOSING
    ws.text("dropped")
    assert connection.state == CLOSING
    ws.send(close(1000))
    assert connection.state == ENDED


def test_a_malformed_frame_lets_it_linger() -> None:
    ws = websocket(Script()).opened()
    connection = connection_of(ws)
    ws.send(MALFORMED)
    assert connection.state == LINGERING
    ws.client.end()
    assert connection.state == ENDED


def test_it_fails_once_the_application_has_read_what_came_before() -> None:
    ws = websocket(Slow()).opened()
    connection = connection_of(ws)
    ws.text("good")
    ws.send(MALFORMED)
    assert connection.state == FAILING
    ws.client.advance(1)
    assert ws.messages() == ["good"]
    assert connection.state == FAILING
    ws.client.advance(1)
    assert ws.closing()[0] == 1002
    assert connection.state == LINGERING


def test_a_peer_that_goes_while_it_fails() -> None:
    ws = websocket(Slow()).opened()
    connection = connection_of(ws)
    ws.text("good")
    ws.send(MALFORMED)
    ws.client.disconnect()
    assert connection.state == ENDED
    ws.client.advance(3)
    assert connection.state == ENDED
    assert ws.client.errors == []


@pytest.mark.parametrize(("old", "new"), [(CLOSING, OPEN), (LINGERING, CLOSING), (ENDED, LINGERING), (FAILING, OPEN)])
def test_some_transitions_are_impossible(old: int, new: int) -> None:
    with pytest.raises(AssertionError, match="A WebSocket cannot go from"):
        WEBSOCKET.change(old, new)
