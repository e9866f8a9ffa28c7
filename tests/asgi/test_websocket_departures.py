"""What an application raises because the peer of its WebSocket has left is no error, over every version of HTTP."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import pytest
from tests.protocol.test_http2_websocket import Socket as Socket2
from tests.protocol.test_http3_websocket import Socket as Socket3
from tests.support.harness import serve
from tests.support.http2 import H2, reset
from tests.support.http3 import Server
from tests.support.websocket import upgrade
from tests.wire.websocket_frames import close
from wsproto.events import CloseConnection

from hypercorn.errors import ClientDisconnected
from hypercorn.wire.http3 import H3_REQUEST_CANCELLED


class Records(NamedTuple):
    """What the server has logged."""

    debugs: list[str]
    errors: list[str]


class Peer1:
    """A WebSocket over HTTP/1.1."""

    def __init__(self, app: Any) -> None:
        self.client = serve(app)
        self.client.send(upgrade())

    def leave(self, way: str) -> None:
        if way == "close":
            self.client.send(close(1001, b"bye"))
        else:
            self.client.disconnect()

    def records(self) -> Records:
        log = self.client.server.log
        return Records(
            [entry.text for entry in log.at("debug")], [entry.text for entry in log.at("info", "warning", "error")]
        )


class Peer2(Peer1):
    """A WebSocket over HTTP/2."""

    def __init__(self, app: Any) -> None:
        self.h2 = H2(app)
        self.client = self.h2.client
        self.socket = Socket2(self.h2)

    def leave(self, way: str) -> None:
        if way == "close":
            self.socket.send(close(1001, b"bye"))
        elif way == "reset":
            self.h2.send(reset(1))
        else:
            self.client.disconnect()


class Peer3:
    """A WebSocket over HTTP/3."""

    def __init__(self, app: Any) -> None:
        self.server = Server(app)
        self.socket = Socket3(self.server.client())

    def leave(self, way: str) -> None:
        client = self.socket.client
        if way == "close":
            self.socket.send(CloseConnection(code=1001, reason="bye"))
        elif way == "reset":
            client.quic.reset_stream(self.socket.stream, H3_REQUEST_CANCELLED)
            client.quic.stop_stream(self.socket.stream, H3_REQUEST_CANCELLED)
        else:
            client.quic.close()
        self.server.settle(3)

    def records(self) -> Records:
        return Records(self.server.log.debugs, self.server.log.errors)


class Departure:
    """Accepts (unless the peer leaves before), waits for the end, sends all the same, and raises what `translate` makes
    of the error."""

    def __init__(self, translate: Any, accepts: bool) -> None:
        self.translate = translate
        self.accepts = accepts
        self.raised: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if self.accepts:
            await send({"type": "websocket.accept"})
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": "websocket.send", "text": "late"} if self.accepts else {"type": "websocket.accept"})
        except Exception as error:
            self.raised.append(error)
            self.translate(error)


def as_it_is(error: Exception) -> None:
    raise error


def as_a_cause(error: Exception) -> None:
    raise RuntimeError("a framework's own word") from error


def as_a_context(error: Exception) -> None:
    try:
        raise KeyError("on the way")
    except KeyError:
        raise RuntimeError("a framework's own word") from None


def in_a_group(error: Exception) -> None:
    groups = pytest.importorskip("exceptiongroup" if sys.version_info < (3, 11) else "builtins")
    try:
        raise groups.ExceptionGroup("unhandled errors", [RuntimeError("another"), groups.ExceptionGroup("", [error])])
    except Exception as group:
        raise ValueError("over a group") from group


WAYS = [
    pytest.param(Peer1, "close", id="http1-close"),
    pytest.param(Peer1, "cut", id="http1-cut"),
    pytest.param(Peer2, "close", id="http2-close"),
    pytest.param(Peer2, "reset", id="http2-reset"),
    pytest.param(Peer2, "cut", id="http2-cut"),
    pytest.param(Peer3, "close", id="http3-close"),
    pytest.param(Peer3, "reset", id="http3-reset"),
    pytest.param(Peer3, "cut", id="http3-cut"),
]


@pytest.mark.parametrize("translate", [as_it_is, as_a_cause, as_a_context, in_a_group])
@pytest.mark.parametrize(("kind", "way"), WAYS)
@pytest.mark.parametrize("accepts", [True, False], ids=["accepted", "pending"])
def test_an_ordinary_departure_is_no_error(kind: Any, way: str, accepts: bool, translate: Any) -> None:
    if way == "close" and not accepts:
        way = "cut"  # no close frame comes before the handshake is answered
    app = Departure(translate, accepts)
    peer = kind(app)
    peer.leave(way)
    assert [type(error) for error in app.raised] == [ClientDisconnected]
    found = peer.records()
    assert found.errors == []
    (record,) = [text for text in found.debugs if text.startswith("The client left before the application was done (")]
    assert "/" in record


@pytest.mark.parametrize(("kind", "way"), WAYS)
def test_an_error_that_has_nothing_to_do_with_a_departure(kind: Any, way: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        raise RuntimeError("a fault of the application")

    peer = kind(app)
    peer.leave(way)
    (error,) = peer.records().errors
    assert error.startswith("Error in the application (")


@pytest.mark.parametrize("kind", [Peer1, Peer2, Peer3])
def test_a_disconnect_of_its_own_making_while_the_client_is_there(kind: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        raise ClientDisconnected("another client, of the application's own")

    (error,) = kind(app).records().errors
    assert error.startswith("Error in the application (")
