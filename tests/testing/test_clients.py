"""The clients of `hypercorn.testing`, to servers in memory and over sockets."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import h11
import pytest
import trustme
from tests.support.live import BACKENDS

from hypercorn.testing import TestServer, connect
from hypercorn.testing.clients import HandshakeRefused, HTTP1Client, HTTP2Client, StreamReset, WebSocketClient

HTTP = [HTTP1Client, HTTP2Client]
LARGE = 300_000  # octets; more than a window of HTTP/2


async def body_of(receive: Any) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    return bytes(body)


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await over_websocket(scope, receive, send)
        return
    body = await body_of(receive)
    if scope["path"] == "/hints":
        await send({"type": "http.response.early_hint", "links": [b"</style.css>; rel=preload"]})
    headers = [(b"x-seen", scope["method"].encode()), (b"x-many", b"one"), (b"x-many", b"two")]
    trailers = scope["path"] == "/trailers"
    await send({"type": "http.response.start", "status": 203, "headers": headers, "trailers": trailers})
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    if scope["path"] == "/fails":
        raise RuntimeError("in the middle")
    await send({"type": "http.response.body", "body": body[len(body) // 2 :]})
    if trailers:
        await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"7")], "more_trailers": False})


async def over_websocket(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    if scope["path"] == "/no":
        await send({"type": "websocket.http.response.start", "status": 402, "headers": [(b"x-why", b"money")]})
        await send({"type": "websocket.http.response.body", "body": b"pay first"})
        return
    offered = scope["subprotocols"]
    await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message.get("text") == "end":
            await send({"type": "websocket.close", "code": 3001, "reason": "as asked"})
            return
        await send({**message, "type": "websocket.send"})


@pytest.fixture(params=["memory", *BACKENDS])
def target(request: pytest.FixtureRequest) -> Iterator[Callable[[], Any]]:
    """What the clients connect to."""
    if request.param == "memory":
        yield lambda: connect(app)
        return
    with TestServer(app, lifespan="off", backend=request.param, log_level="CRITICAL") as url:
        yield lambda: url


@pytest.mark.parametrize("client", HTTP)
def test_requests(target: Callable[[], Any], client: Any) -> None:
    with client(target()) as peer:
        first = peer.request("POST", "/a?b", [("X-Own", "1")], b"hello")
        assert (first.status, first.body, first.trailers, first.informational) == (203, b"hello", [], [])
        assert first.header("X-Seen") == "POST"
        assert first.header("x-many") == "one, two"
        assert first.header("absent") is None
        assert peer.request("GET", "/").body == b""


@pytest.mark.parametrize("client", HTTP)
def test_bodies_longer_than_windows(target: Callable[[], Any], client: Any) -> None:
    body = bytes(range(256)) * (LARGE // 256)
    with client(target()) as peer:
        assert peer.request("PUT", "/", body=body).body == body


@pytest.mark.parametrize("client", HTTP)
def test_hints_and_trailers(target: Callable[[], Any], client: Any) -> None:
    with client(target()) as peer:
        assert peer.request("GET", "/hints").informational == [103]
        assert peer.request("GET", "/trailers", [("te", "trailers")], b"").trailers == [("x-sum", "7")]


def test_a_connection_that_closes_is_not_reusable(target: Callable[[], Any]) -> None:
    with HTTP1Client(target()) as peer:
        peer.request("GET", "/")
        assert peer.reusable
        peer.request("GET", "/", [("connection", "close")])
        assert not peer.reusable


def test_responses_that_end_in_the_middle(target: Callable[[], Any]) -> None:
    with HTTP1Client(target()) as peer, pytest.raises(h11.RemoteProtocolError):
        peer.request("POST", "/fails", body=b"1234")
    with HTTP2Client(target()) as peer:
        with pytest.raises(StreamReset) as reset:
            peer.request("POST", "/fails", body=b"1234")
        assert reset.value.error_code == 2  # INTERNAL_ERROR
        assert peer.request("GET", "/").status == 203


def test_requests_at_the_same_time(target: Callable[[], Any]) -> None:
    with HTTP2Client(target()) as peer:
        streams = [peer.start("POST", f"/{number}", body=b"%d" % number) for number in range(20)]
        assert [peer.response(stream).body for stream in reversed(streams)] == [b"%d" % n for n in reversed(range(20))]


@pytest.mark.parametrize("compress", [False, True])
def test_websockets(target: Callable[[], Any], compress: bool) -> None:
    with WebSocketClient(target(), "/chat", subprotocols=["a", "b"], compress=compress) as peer:
        assert peer.subprotocol == "b"
        for message in ("text", "ä" * 1000, b"\0\1", bytes(LARGE)):
            peer.send(message)
            assert peer.receive() == message
        peer.send("end")
        with pytest.raises(ConnectionError, match="code 3001"):
            peer.receive()
        assert (peer.close_code, peer.close_reason) == (3001, "as asked")


def test_a_websocket_that_the_client_closes(target: Callable[[], Any]) -> None:
    peer = WebSocketClient(target())
    assert peer.subprotocol is None
    peer.close(1001, "leaves")
    assert peer.close_code == 1001


def test_a_websocket_that_is_refused(target: Callable[[], Any]) -> None:
    with pytest.raises(HandshakeRefused) as refused:
        WebSocketClient(target(), "/no")
    response = refused.value.response
    assert (response.status, response.body, response.header("x-why")) == (402, b"pay first", "money")


def test_over_tls(tmp_path: Any) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    with TestServer(app, lifespan="off", certfile=str(tmp_path / "server.pem")) as url:
        for client in HTTP:
            tls = ssl.create_default_context()
            authority.configure_trust(tls)
            with client(url, tls=tls) as peer:
                assert peer.request("POST", "/", body=b"secret").body == b"secret"
        tls = ssl.create_default_context()
        authority.configure_trust(tls)
        with WebSocketClient(url, tls=tls) as peer:
            peer.send("secret")
            assert peer.receive() == "secret"


def test_a_server_in_memory_that_has_nothing_to_say() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await receive()

    with pytest.raises(TimeoutError, match="sends nothing more"):
        HTTP1Client(connect(silent)).request("GET", "/")


@pytest.mark.parametrize("url", ["example", "ftp://example", "http://"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(url))):
        HTTP1Client(url)
