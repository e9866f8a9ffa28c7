"""The states of an HTTP/1 connection, as its bytes lead through them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import GET, Answers, Reads, request, serve
from tests.support.websocket import Script, upgrade

from hypercorn.protocol.http1.connection import HTTP1Connection
from hypercorn.protocol.http1.states import CLOSED, CONNECTION, EXCHANGE, IDLE, LINGERING, UPGRADING
from hypercorn.protocol.websocket.connection import WebSocketConnection
from hypercorn.testing import Client, sleep

POST = request("/", "content-length: 4", method="POST")


def connection_of(client: Client) -> HTTP1Connection:
    connection = client.transport.connection
    assert isinstance(connection, HTTP1Connection)
    return connection


class Denies:
    """Refuses a WebSocket after a second."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await sleep(1)
        await send({"type": "websocket.close"})


def test_it_returns_to_idle_when_both_halves_are_complete() -> None:
    client = serve(Reads())
    connection = connection_of(client)
    assert connection.state == IDLE
    client.send(POST[:20])
    assert connection.state == IDLE
    client.send(POST[20:] + b"ab")
    assert connection.state == EXCHANGE
    client.send(b"cd")
    assert connection.state == IDLE


def test_it_lingers_after_a_refusal_until_the_peer_ends() -> None:
    client = serve(Answers())
    connection = connection_of(client)
    client.send(b"GET nowhere HTTP/1.1\r\n\r\n")
    assert connection.state == LINGERING
    client.end()
    assert connection.state == CLOSED
    assert client.closed


def test_it_closes_after_the_last_response() -> None:
    client = serve(Answers())
    connection = connection_of(client)
    client.send(request("/", "connection: close"))
    assert connection.state == CLOSED


def test_it_is_closed_for_itself_once_a_websocket_has_its_place() -> None:
    client = serve(Script())
    connection = connection_of(client)
    client.send(upgrade())
    assert connection.state == CLOSED
    assert isinstance(client.transport.connection, WebSocketConnection)


def test_what_follows_a_refused_handshake_is_no_request() -> None:
    client = serve(Denies())
    connection = connection_of(client)
    client.send(upgrade() + GET)
    assert connection.state == UPGRADING
    client.advance(1)
    assert connection.state == LINGERING
    assert client.received().count(b"HTTP/1.1") == 1
    assert connection.requests == 1


@pytest.mark.parametrize(("old", "new"), [(UPGRADING, IDLE), (EXCHANGE, UPGRADING), (LINGERING, IDLE), (CLOSED, IDLE)])
def test_some_transitions_are_impossible(old: int, new: int) -> None:
    with pytest.raises(AssertionError, match="A connection over HTTP/1 cannot go from"):
        CONNECTION.change(old, new)


def test_an_impossible_transition_ends_the_connection_of_a_test() -> None:
    client = serve(Answers())
    connection_of(client).state = CLOSED
    with pytest.raises(AssertionError, match="from CLOSED to CLOSED"):
        client.disconnect()
