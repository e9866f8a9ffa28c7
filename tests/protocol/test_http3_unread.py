"""Requests that go on after their responses over HTTP/3: read and dropped within limits, then stopped."""

from __future__ import annotations

from typing import Any

import pytest
from aioquic.quic.events import StopSendingReceived
from tests.support.http3 import Client, Server, request
from tests.support.live import respond

from hypercorn.wire.http3 import H3_NO_ERROR, frame, varint


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Never reads a body."""
    await respond(send, b"no", 413)


def stopped(client: Client, stream: int) -> int | None:
    """The code with which the server has asked a client to stop; None where it has not."""
    asked = [event for event in client.events if isinstance(event, StopSendingReceived) and event.stream_id == stream]
    return asked[0].error_code if asked else None


def upload(client: Client, size: int, *more: tuple[bytes, bytes], end: bool = True) -> int:
    """A POST with a body of so many octets."""
    stream = client.send(request(b"/", b"POST", *more), end=False)
    client.http.send_data(stream, bytes(size), end)
    return stream


@pytest.mark.parametrize("size", [100_000, 300_000, 1_000_000, 5_000_000])
@pytest.mark.parametrize("told", [True, False], ids=["length", "no length"])
def test_a_client_sends_all_and_sees_the_status(size: int, told: bool) -> None:
    server = Server(refuse)
    client = server.client()
    length = [(b"content-length", b"%d" % size)] if told else []
    stream = upload(client, size, *length)
    server.settle(3)
    assert client.answer(stream).status == 413
    assert client.answer(stream).over
    assert client.answer(stream).reset is None
    assert stopped(client, stream) is None
    assert not server.connection.streams
    assert client.ask().status == 413
    assert not server.log.errors


def test_a_body_known_to_be_too_long_gets_no_credit() -> None:
    server = Server(refuse, max_unread_body=100_000, linger_timeout=2.0)
    client = server.client()
    stream = upload(client, 500_000, (b"content-length", b"500000"))
    server.settle(1)
    assert client.answer(stream).status == 413
    assert stopped(client, stream) is None, "it had no time to read the response"
    server.settle(2)
    assert stopped(client, stream) == H3_NO_ERROR
    assert server.connection.body_octets < 100_000


def test_a_body_that_goes_on_is_stopped_at_the_limit() -> None:
    server = Server(refuse, max_unread_body=200_000)
    client = server.client()
    stream = upload(client, 5_000_000)
    server.settle(3)
    assert client.answer(stream).status == 413
    assert stopped(client, stream) == H3_NO_ERROR
    assert sum(client.sizes) < 100_000
    assert 200_000 <= sum(map(len, client.sent)) < 400_000
    assert client.ask().status == 413


def test_a_body_that_trickles_is_stopped() -> None:
    server = Server(refuse, linger_timeout=2.0, min_receive_rate=1000, min_rate_grace=5.0)
    client = server.client()
    stream = upload(client, 10, end=False)
    began = server.now()
    while stopped(client, stream) is None and server.now() < began + 20:
        client.http.send_data(stream, b"x", False)
        server.settle(1)
    assert stopped(client, stream) == H3_NO_ERROR
    assert 4 <= server.now() - began <= 8
    assert client.closed is None
    server.settle(10)
    assert client.closed is not None, "it is idle from then on"


@pytest.mark.parametrize("option", ["max_unread_body", "linger_timeout"])
def test_none_is_read_where_the_limits_say_so(option: str) -> None:
    server = Server(refuse, **{option: 0})
    client = server.client()
    stream = client.send(request(b"/", b"POST"), end=False)
    server.settle(0.01)
    assert client.answer(stream).status == 413
    assert stopped(client, stream) == H3_NO_ERROR


def test_a_connection_that_drains_waits_for_it() -> None:
    server = Server(refuse)
    client = server.client()
    stream = upload(client, 200_000, end=False)
    server.settle(0.5)
    assert client.answer(stream).over
    server.connection.shutdown()
    server.settle(1.4)
    assert client.closed is None, "the rest of the request was cut off"
    client.quic.send_stream_data(stream, frame(0, b"x"), True)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR


def test_a_section_that_waits_for_its_table_is_given_up() -> None:
    server = Server(refuse, h2_max_header_list_size=1000)
    client = server.client()
    stream = client.raw(varint(1) + varint(2000) + bytes(10))
    server.settle(1)
    assert client.answer(stream).status == 431
    server.settle(3)
    assert stopped(client, stream) == H3_NO_ERROR
