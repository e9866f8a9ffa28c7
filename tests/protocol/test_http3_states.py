"""What a request stream of HTTP/3 does in each of its states when it ends, is reset or is stopped (RFC 9114 section 4,
RFC 9000 section 3)."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import StopSendingReceived, StreamDataReceived
from pylsqpack import Decoder
from tests.protocol.test_http3_websocket import Socket
from tests.support.http3 import Client, Server, request
from tests.support.live import body_of, respond
from wsproto.events import CloseConnection

from hypercorn.protocol.http3.states import CONNECTION, LEAVING, REQUEST, SERVING
from hypercorn.protocol.mux.states import DISCARDING, HALF_CLOSED_LOCAL
from hypercorn.testing import Event
from hypercorn.wire.http3 import (
    H3_FRAME_UNEXPECTED,
    H3_MESSAGE_ERROR,
    H3_NO_ERROR,
    H3_REQUEST_CANCELLED,
    H3_REQUEST_INCOMPLETE,
    H3_REQUEST_REJECTED,
    frame,
    varint,
)

# Sections of the static table alone: POST / on localhost, and the trailer field a: b.
POST = frame(1, b"\x00\x00\xd4\xd7\x50\x09localhost\xc1")
TRAILERS = frame(1, b"\x00\x00\x21a\x01b")
BLOCKED = frame(1, b"\x02\x00\xd1\xd7\x50\x09localhost\xc1\x80")  # refers to the first entry of an empty table
FIRST_ENTRY = b"\x3f\xe1\x07" + b"\x41a\x01b"


class App:
    """Counts its calls; answers by path, and where the path says nothing with the body."""

    def __init__(self) -> None:
        self.gate = Event()
        self.calls: list[str] = []
        self.messages: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls.append(scope["method"])
        if scope["method"] == "GET":
            await respond(send, b"fine")
            return
        message = await receive()
        while message["type"] == "http.request" and message["more_body"]:
            message = await receive()
        self.messages.append(message["type"])
        await self.gate.wait()
        await respond(send, b"done")


async def at_once(scope: Any, receive: Any, send: Any) -> None:
    """Reads no body."""
    await respond(send, b"done")


# Earlier releases of aioquic reset a stream that the peer stops by themselves, with the code NO_ERROR.
STOPPED_IS_TOLD = "NO_ERROR" not in inspect.getsource(QuicConnection._handle_stop_sending_frame)
RESET_WHEN_STOPPED = H3_REQUEST_CANCELLED if STOPPED_IS_TOLD else 0


def stops(client: Client) -> list[tuple[int, int]]:
    """The STOP_SENDING frames of the server."""
    return [(event.stream_id, event.error_code) for event in client.events if isinstance(event, StopSendingReceived)]


def cancellations(client: Client) -> bytes:
    """What the server's QPACK decoder has said, behind the type of its stream."""
    stream = client.server.connection.control.decoder_id  # type: ignore[union-attr]
    data = b"".join(e.data for e in client.events if isinstance(e, StreamDataReceived) and e.stream_id == stream)
    return data[1:]


def is_clean(server: Server, client: Client, stream: int) -> None:
    """Nothing is left of a stream, and the connection goes on."""
    connection = server.connection
    assert client.ask().body in (b"fine", b"done")
    assert client.closed is None
    assert not connection.streams
    assert not connection.readers
    assert not connection.orphans.count
    assert stream not in connection.quic._streams
    assert not server.log.errors


STARTS = {
    "part of a head": POST[:5],
    "a blocked head": BLOCKED,
    "a head": POST,
    "part of a body": POST + varint(0) + varint(9) + b"1234",
    "a body": POST + frame(0, b"1234"),
    "trailers": POST + frame(0, b"1234") + TRAILERS,
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("how", ["reset", "stop", "both"])
def test_a_request_is_taken_back(start: str, how: str) -> None:
    """Before its end, in any state: it is not answered, and asked for no more."""
    app = App()
    server = Server(app)
    client = server.client()
    stream = client.raw(STARTS[start])
    server.settle()
    started = app.calls[:]
    if how != "stop":
        client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
    if how != "reset":
        client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
    server.settle()
    assert client.answer(stream).reset == (H3_REQUEST_CANCELLED if how == "reset" else RESET_WHEN_STOPPED)
    assert started == ([] if "head" in start and start != "a head" else ["POST"])
    assert app.messages == ["http.disconnect"] * len(started)
    asked = {code for number, code in stops(client) if number == stream}
    assert asked == ({H3_REQUEST_CANCELLED} if how == "stop" else set()), "nothing was to come any more"
    expected = bytes((0x40 | stream,)) if hasattr(Decoder, "cancel_stream") else b""
    assert cancellations(client) == expected, "its sections are not going to be read"
    app.gate.set()
    server.settle()
    is_clean(server, client, stream)


@pytest.mark.parametrize("start", STARTS)
def test_a_request_ends(start: str) -> None:
    app = App()
    server = Server(app)
    app.gate.set()
    client = server.client()
    stream = client.raw(STARTS[start])
    server.settle()
    client.raw(b"", stream=stream, end=True)
    server.settle()
    if start.startswith("part"):
        assert client.closed is not None
        assert client.closed.error_code == 0x106  # H3_FRAME_ERROR
        return
    if start == "a blocked head":
        assert not client.answer(stream).heads
        client.quic.send_stream_data(client.http._local_encoder_stream_id, FIRST_ENTRY)
        server.settle()
        assert app.calls == ["GET"]
        return  # the client's own encoder knows nothing of the entry
    assert client.answer(stream).body == b"done"
    assert app.messages == ["http.request"]
    assert client.answer(stream).reset is None
    assert stops(client) == []
    is_clean(server, client, stream)


def test_a_body_may_follow_a_head_that_is_refused_while_its_answer_waits() -> None:
    server = Server(at_once, h2_max_header_list_size=1000)
    client = server.client(max_stream_data=1)
    stream = client.raw(varint(1) + varint(2000) + bytes(2000) + frame(0, b"1234"))
    server.settle()
    assert client.closed is None
    client.quic._streams[stream].max_stream_data_local = 10000
    server.settle()
    assert client.answer(stream).status == 431
    assert client.answer(stream).over


def test_a_stream_without_a_request_is_incomplete() -> None:
    server = Server(at_once)
    client = server.client()
    stream = client.raw(frame(0x21, b"grease"), end=True)
    server.settle()
    assert client.answer(stream).reset == H3_REQUEST_INCOMPLETE
    is_clean(server, client, stream)


@pytest.mark.parametrize("start", ["a head", "a body", "part of a body", "trailers"])
@pytest.mark.parametrize("how", ["end", "reset", "stop", "more"])
def test_what_follows_an_answer_that_did_not_wait(start: str, how: str) -> None:
    """The response stays complete, whatever the client does with the rest of its request, and no second request comes
    of what it sends."""
    server = Server(at_once)
    client = server.client()
    stream = client.raw(STARTS[start])
    server.settle()
    assert client.answer(stream).over
    assert server.connection.streams[stream].state == DISCARDING
    budgets = [budget and budget.left for budget in server.connection.allowance.budgets[:1]]
    if how == "end":
        client.raw(b"", stream=stream, end=True)
    elif how == "reset":
        client.quic.reset_stream(stream, H3_NO_ERROR)
    elif how == "stop":
        client.quic.stop_stream(stream, H3_NO_ERROR)
    else:
        client.raw(TRAILERS + POST + frame(0, b"x"), stream=stream, end=True)
    server.settle()
    assert client.answer(stream).reset == (None if how != "stop" or STOPPED_IS_TOLD else 0)
    assert len(server.records) == 1
    assert [budget and budget.left for budget in server.connection.allowance.budgets[:1]] == budgets
    if how == "stop":
        server.settle(server.config.linger_timeout + 1)
        assert stops(client) == [(stream, H3_NO_ERROR)]
    is_clean(server, client, stream)


@pytest.mark.parametrize("rest", [frame(0, b"x"), TRAILERS], ids=["DATA", "HEADERS"])
@pytest.mark.parametrize("together", [True, False])
def test_nothing_comes_after_trailers(rest: bytes, together: bool) -> None:
    server = Server(App())
    client = server.client()
    stream = client.raw(POST + TRAILERS + (rest if together else b""))
    server.settle()
    if not together:
        client.raw(rest, stream=stream)
        server.settle()
    assert client.closed is not None
    assert client.closed.error_code == H3_FRAME_UNEXPECTED


def test_a_request_with_trailers_is_complete_when_its_stream_ends() -> None:
    app = App()
    server = Server(app)
    client = server.client()
    stream = client.raw(POST + frame(0, b"1234") + TRAILERS)
    server.settle()
    assert app.messages == []
    client.raw(b"", stream=stream, end=True)
    server.settle()
    assert app.messages == ["http.request"]
    client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
    app.gate.set()
    server.settle()
    assert client.answer(stream).body == b"done", "a reset after the end means nothing"


def test_an_application_that_fails_after_trailers_without_an_end() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "GET":
            await respond(send, b"fine")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("a fault")

    server = Server(app)
    client = server.client()
    stream = client.raw(POST + TRAILERS)
    server.settle()
    assert client.answer(stream).reset == 0x102  # H3_INTERNAL_ERROR
    assert stops(client) == [(stream, 0x102)]
    server.log.errors.clear()
    is_clean(server, client, stream)


@pytest.mark.parametrize("rest", [b"", frame(0, b"12345")], ids=["too short", "too long"])
def test_a_body_of_another_length_than_announced(rest: bytes) -> None:
    server = Server(App())
    client = server.client()
    stream = client.send(request(b"/", b"POST", (b"content-length", b"4")), end=False)
    client.raw(rest, stream=stream, end=True)
    server.settle()
    assert client.answer(stream).reset == H3_MESSAGE_ERROR
    assert stops(client) == []
    is_clean(server, client, stream)


def test_a_connection_that_ends_starts_no_application_of_what_was_blocked() -> None:
    """Several sections wait; the stream of the first one breaks the protocol as soon as it goes on."""
    app = App()
    server = Server(app)
    client = server.client()
    client.raw(BLOCKED + frame(4, b""))
    client.raw(BLOCKED)
    server.settle()
    client.quic.send_stream_data(client.http._local_encoder_stream_id, FIRST_ENTRY)
    server.settle()
    assert client.closed is not None
    assert client.closed.error_code == H3_FRAME_UNEXPECTED
    assert app.calls == []
    assert not server.log.errors


@pytest.mark.parametrize("how", ["reset", "end"])
def test_streams_that_are_over_before_their_type_came(how: str) -> None:
    """They are allowed (RFC 9114 section 6.2), and nothing is kept of them."""
    server = Server(at_once)
    client = server.client()
    kept = len(server.connection.control.streams)
    for _ in range(40):
        stream = client.uni(b"\x40")  # the first of two octets
        server.settle(0.01)
        if how == "reset":
            client.quic.reset_stream(stream, H3_NO_ERROR)
        else:
            client.quic.send_stream_data(stream, b"", True)
        server.settle(0.01)
    assert client.ask().body == b"done"
    assert len(server.connection.control.streams) == kept


def test_priorities_of_streams_that_are_taken_back_are_forgotten() -> None:
    server = Server(at_once, h2_max_concurrent_streams=10)
    client = server.client()
    for _ in range(20):
        stream = client.quic.get_next_available_stream_id()
        client.quic.send_stream_data(client.http._local_control_stream_id, frame(0xF0700, varint(stream) + b"u=0"))
        server.settle(0.01)
        client.quic.send_stream_data(stream, POST[:3])
        client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
        server.settle(0.01)
    assert server.connection.priorities == {}
    assert client.ask().body == b"done"


# -- GOAWAY


def test_requests_after_the_second_goaway_are_rejected() -> None:
    """Whatever is wrong with them: a client may send them again elsewhere, which no other answer allows."""
    app = App()
    server = Server(app, h2_max_header_list_size=1000)
    client = server.client()
    first = client.send(request(b"/", b"POST"), b"")
    server.settle()
    connection = server.connection
    connection.shutdown()
    server.settle(1.5)
    assert connection.state == LEAVING
    late = client.send(request())
    large = client.raw(varint(1) + varint(2000) + bytes(2000), end=True)
    server.settle()
    assert [client.answer(stream).reset for stream in (late, large)] == [H3_REQUEST_REJECTED] * 2
    assert len(server.records) == 0
    app.gate.set()
    server.settle(1)
    assert client.answer(first).body == b"done"
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR


def test_a_head_that_began_before_the_second_goaway_is_rejected_and_does_not_hold_the_connection() -> None:
    server = Server(at_once)
    client = server.client()
    client.ask()
    stream = client.raw(POST[:5])
    server.settle()
    server.connection.shutdown()
    server.settle(1.5)
    assert client.closed is None
    client.raw(POST[5:], stream=stream, end=True)
    server.settle(1)
    assert client.answer(stream).reset == H3_REQUEST_REJECTED
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR


def test_a_connection_is_closed_once() -> None:
    server = Server(at_once)
    server.client()
    connection = server.connection
    assert connection.state == SERVING
    connection.close()
    assert connection.ended
    connection.close()
    connection.abort()
    connection.drain()
    connection.connection_ended()
    assert len(server.ended) == 1


# -- tunnels


async def accepts(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket that says what it gets."""
    if scope["type"] == "http":
        await respond(send, await body_of(receive) or b"done")
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def test_headers_in_a_tunnel_end_the_connection() -> None:
    """Only DATA may come once the handshake has succeeded (RFC 9114 section 4.4)."""
    server = Server(accepts)
    socket = Socket(server.client())
    assert socket.status == 200
    socket.client.raw(TRAILERS, stream=socket.stream)
    server.settle()
    assert socket.client.closed is not None
    assert socket.client.closed.error_code == H3_FRAME_UNEXPECTED


def test_headers_before_a_tunnel_is_open_end_its_stream() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await Event().wait()

    server = Server(app)
    client = server.client()
    socket = Socket(client)
    client.raw(TRAILERS, stream=socket.stream)
    server.settle()
    assert client.closed is None
    assert client.answer(socket.stream).reset == H3_MESSAGE_ERROR


@pytest.mark.parametrize("how", ["reset", "stop", "both", "end"])
def test_a_tunnel_that_the_server_has_ended(how: str) -> None:
    """Its last frames are delivered, also where the client ends its half by a reset and they have to be repeated."""
    server = Server(accepts)
    client = server.client()
    socket = Socket(client)
    client.http.send_data(socket.stream, socket.frames.send(CloseConnection(code=3000)), False)
    client.lose = lambda data: data not in client.sent  # the frame arrives, the answer to it does not
    server.settle(0.01)
    client.lose = lambda _: False
    assert server.connection.streams[socket.stream].state == HALF_CLOSED_LOCAL
    if how in ("reset", "both"):
        client.quic.reset_stream(socket.stream, H3_NO_ERROR)
    if how in ("stop", "both"):
        client.quic.stop_stream(socket.stream, H3_NO_ERROR)
    if how == "end":
        client.raw(b"", stream=socket.stream, end=True)
    server.settle(3)
    if how in ("reset", "end"):
        assert [type(event) for event in socket.events()] == [CloseConnection]
        assert client.answer(socket.stream).reset is None
    is_clean(server, client, socket.stream)


# -- tables


@pytest.mark.parametrize("table", [CONNECTION, REQUEST], ids=["connection", "request"])
def test_states_go_forward_only(table: Any) -> None:
    for old in range(len(table.names)):
        for new in range(old + 1):
            with pytest.raises(AssertionError, match=f"cannot go from {table.names[old]} to {table.names[new]}"):
                table.change(old, new)


def test_every_request_passes_the_table() -> None:
    """The states of a reader that an upload passes."""
    app = App()
    app.gate.set()
    server = Server(app)
    client = server.client()
    seen = []
    stream = client.quic.get_next_available_stream_id()
    for data in (POST[:3], POST[3:], frame(0, b"1"), TRAILERS):
        client.raw(data, stream=stream)
        server.settle(0.01)
        seen.append(REQUEST.names[server.connection.readers[stream].state])
    assert seen == ["HEAD", "BODY", "BODY", "TRAILERS"]
    client.raw(b"", stream=stream, end=True)
    server.settle()
    assert client.answer(stream).body == b"done"
    is_clean(server, client, stream)
