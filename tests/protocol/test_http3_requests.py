"""HTTP/3 in memory: requests, bodies, answers, and what is refused. aioquic's client is the peer."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
from tests.support.http3 import Client, Server, request
from tests.support.live import body_of, echo, hello, respond

from hypercorn.wire.http2_writer import encode_integer
from hypercorn.wire.http3 import (
    H3_CLOSED_CRITICAL_STREAM,
    H3_EXCESSIVE_LOAD,
    H3_FRAME_ERROR,
    H3_FRAME_UNEXPECTED,
    H3_ID_ERROR,
    H3_MESSAGE_ERROR,
    H3_MISSING_SETTINGS,
    H3_NO_ERROR,
    H3_REQUEST_INCOMPLETE,
    H3_SETTINGS_ERROR,
    H3_STREAM_CREATION_ERROR,
    QPACK_DECOMPRESSION_FAILED,
    QPACK_ENCODER_STREAM_ERROR,
    frame,
    varint,
)

OLD_CLIENT = tuple(int(part) for part in version("aioquic").split(".")[:2]) < (1, 5)


def test_a_request() -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await respond(send, b"hello", headers=[(b"X-Name", b"value"), (b"connection", b"close")])

    server = Server(app)
    answer = server.client().ask(request(b"/a%20b?c=d", b"GET", (b"cookie", b"a=1"), (b"cookie", b"b=2")))
    assert (answer.status, answer.body, answer.over) == (200, b"hello", True)
    assert answer.headers[b"x-name"] == b"value"
    assert answer.headers[b"server"] == b"hypercorn-h3"
    assert b"connection" not in answer.headers
    assert b"date" in answer.headers
    scope = scopes[0]
    assert scope["http_version"] == "3"
    assert scope["scheme"] == "https"
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/a b", b"/a%20b", b"c=d")
    assert scope["headers"] == [(b"host", b"localhost"), (b"cookie", b"a=1; b=2")]
    assert (scope["client"], scope["server"]) == (("10.0.0.1", 5000), ("127.0.0.1", 443))
    assert set(scope["extensions"]) >= {"http.response.trailers", "http.response.early_hint"}
    (record,) = server.records
    assert record[1] == 200
    assert not server.log.errors


def test_many_requests_on_one_connection() -> None:
    server = Server(hello)
    client = server.client()
    for _ in range(3):
        streams = [client.send(request()) for _ in range(50)]
        server.settle()
        assert [bytes(client.answer(stream).body) for stream in streams] == [b"hello"] * 50


@pytest.mark.parametrize("size", [0, 1, 1000, 70000, 500000])
def test_bodies_go_both_ways(size: int) -> None:
    data = bytes(range(251)) * (size // 251 + 1)
    answer = Server(echo).client().ask(request(b"/", b"POST"), data[:size])
    assert answer.body == data[:size]
    assert answer.over


def test_head_and_204_have_no_body() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, b"hello", 204 if scope["path"] == "/204" else 200)

    client = Server(app).client()
    client.http._check_content_length = lambda stream: None  # it does not know what HEAD is
    head = client.ask(request(b"/", b"HEAD"))
    assert (head.status, head.body, head.headers[b"content-length"], head.over) == (200, b"", b"5", True)
    nothing = client.ask(request(b"/204"))
    assert (nothing.status, nothing.body, nothing.over) == (204, b"", True)
    assert b"content-length" not in nothing.headers


def test_q_h3_1_a_response_with_trailers_ends() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x" * 100000})
        await send({"type": "http.response.trailers", "headers": [(b"a", b"1")], "more_trailers": True})
        await send({"type": "http.response.trailers", "headers": [(b"b", b"2")]})

    answer = Server(app).client(max_stream_data=1 << 20).ask(request(b"/", b"GET", (b"te", b"trailers")))
    assert answer.body == b"x" * 100000
    assert answer.heads[1] == [(b"a", b"1"), (b"b", b"2")]
    assert answer.over


def test_trailers_that_nobody_asked_for_are_dropped() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [], "trailers": True})
        await send({"type": "http.response.body", "body": b"x"})
        await send({"type": "http.response.trailers", "headers": [(b"a", b"1")]})

    answer = Server(app).client().ask()
    assert (len(answer.heads), answer.body, answer.over) == (1, b"x", True)


def test_trailers_of_requests() -> None:
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if not message["more_body"]:
                break
        got.append(message)
        await respond(send)

    server = Server(app)
    client = server.client()
    stream = client.send(request(b"/", b"POST"), b"abc", end=False)
    client.http.send_headers(stream, [(b"checksum", b"1")], end_stream=True)
    server.settle()
    assert client.answer(stream).over
    assert got[0]["trailers"] == [(b"checksum", b"1")]


@pytest.mark.skipif(OLD_CLIENT, reason="this release of the client takes an interim head for the final one")
def test_early_hints_and_100_continue() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
        await respond(send, await body_of(receive))

    server = Server(app)
    client = server.client()
    stream = client.send(request(b"/", b"POST", (b"expect", b"100-continue"), (b"content-length", b"3")), end=False)
    server.settle()
    answer = client.answer(stream)
    assert [dict(head)[b":status"] for head in answer.heads] == [b"103", b"100"]
    assert dict(answer.heads[0])[b"link"] == b"</a.css>; rel=preload"
    client.http.send_data(stream, b"abc", True)
    server.settle()
    assert (dict(answer.heads[2])[b":status"], answer.body, answer.over) == (b"200", b"abc", True)


def test_h3_01_connect_without_a_path_is_answered() -> None:
    server = Server(hello)
    client = server.client()
    answer = client.ask([(b":method", b"CONNECT"), (b":authority", b"localhost:443")])
    assert answer.status == 405
    assert client.ask().body == b"hello"
    assert not server.log.errors


@pytest.mark.parametrize(
    "fields",
    [
        [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")],  # no authority, no host
        [*request()[:3], (b":path", b"")],
        [*request(), (b"transfer-encoding", b"chunked")],
        [*request(), (b"Upper", b"case")],
        [*request(), (b"te", b"gzip")],
        [*request(), (b":path", b"/again")],
        [*request(), (b"content-length", b"5")],  # and no body
        [*request(), (b"name", b"a\r\nb: c")],
        [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":authority", b"localhost")],
        [*request()[:3], (b":path", "/ü".encode())],
    ],
    ids=["authority", "path", "codings", "upper", "te", "twice", "length", "crlf", "connect", "target"],
)
def test_malformed_requests_end_no_more_than_their_stream(fields: Any) -> None:
    server = Server(hello)
    client = server.client()
    stream = client.quic.get_next_available_stream_id()
    _, block = client.http._encoder.encode(stream, fields)
    client.raw(frame(1, block), end=True)
    server.settle()
    answer = client.answer(stream)
    assert answer.reset == H3_MESSAGE_ERROR or answer.status == 400
    assert client.ask().body == b"hello"
    assert not server.log.errors


def test_other_hosts_large_bodies_and_large_heads_are_refused() -> None:
    server = Server(echo, server_names=["localhost"], max_body_size=1000, h2_max_header_list_size=16384)
    client = server.client()
    fields = [*request()[:2], (b":authority", b"elsewhere"), request()[3]]
    assert client.ask(fields).status == 421
    assert client.ask(request(b"/", b"POST", (b"content-length", b"1001")), b"x" * 1001).status == 413
    assert client.ask(request(b"/", b"POST"), b"x" * 5000).status == 413
    for fields in ([(b"name", b"x" * 3000)] * 6, [(b"name", b"v")] * 200):
        # As octets, for some releases of the client encode no head that is so large.
        block = b"".join(b"\x24" + name + encode_integer(len(value), 7, 0) + value for name, value in fields)
        stream = client.raw(frame(1, b"\x00\x00\xd1\xd7\x50\x09localhost\xc1" + block), end=True)
        server.settle()
        assert client.answer(stream).status == 431
    assert client.ask(request(b"/", b"POST"), b"fine").body == b"fine"
    assert [record[1] for record in server.records] == [421, 413, 413, 431, 431, 200]


def test_h3_03_data_after_a_refused_head_is_ignored() -> None:
    server = Server(echo, server_names=["localhost"])
    client = server.client()
    fields = [*request(b"/", b"POST")[:2], (b":authority", b"elsewhere"), request()[3]]
    stream = client.send(fields, end=False)
    server.settle()
    assert client.answer(stream).status == 421
    if stream in client.quic._streams:
        client.quic.send_stream_data(stream, frame(0, b"x" * 1000), True)
    server.settle()
    assert client.ask(request(b"/", b"POST"), b"fine").body == b"fine"
    assert not server.log.errors


def settled(data: bytes) -> bytes:
    """Frames for a control stream of one's own, behind its type and SETTINGS."""
    return varint(0) + frame(4, b"") + data


REQUEST = frame(1, b"\x00\x00\xd1\xd7\x50\x09localhost\xc1")

BAD_REQUESTS = {
    "data first": (frame(0, b"x"), H3_FRAME_UNEXPECTED),
    "settings": (frame(4, b""), H3_FRAME_UNEXPECTED),
    "push promise": (frame(5, b"\x00"), H3_FRAME_UNEXPECTED),
    "goaway": (REQUEST + frame(7, b"\x00"), H3_FRAME_UNEXPECTED),
    "an HTTP/2 frame": (frame(8, b""), H3_FRAME_UNEXPECTED),
    "cut off": (REQUEST + b"\x00\x05abc", H3_FRAME_ERROR),
    "no section": (frame(1, b"\xff\xff\xff"), QPACK_DECOMPRESSION_FAILED),
    "headers after trailers": (
        REQUEST + frame(1, b"\x00\x00\x21a\x01b") + frame(1, b"\x00\x00\x21a\x01b"),
        H3_FRAME_UNEXPECTED,
    ),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_frames_that_end_the_connection(name: str) -> None:
    data, code = BAD_REQUESTS[name]
    server = Server(echo)
    other = server.client()
    client = server.client()
    client.raw(data, end=True)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == code
    assert other.ask(request(b"/", b"POST"), b"here").body == b"here"
    assert not server.log.errors


BAD_STREAMS = {
    "push": (varint(1) + varint(0), H3_STREAM_CREATION_ERROR),
    "second control": (varint(0), H3_STREAM_CREATION_ERROR),
    "second encoder": (varint(2), H3_STREAM_CREATION_ERROR),
    "second decoder": (varint(3), H3_STREAM_CREATION_ERROR),
}
BAD_CONTROL = {
    "no settings": (frame(7, b"\x00"), H3_MISSING_SETTINGS),
    "an unknown frame first": (frame(0x21, b"abc"), H3_MISSING_SETTINGS),
    "settings twice": (frame(4, b"") * 2, H3_FRAME_UNEXPECTED),
    "a setting twice": (frame(4, b"\x06\x40\x80\x06\x40\x80"), H3_SETTINGS_ERROR),
    "a setting of HTTP/2": (frame(4, b"\x03\x01"), H3_SETTINGS_ERROR),
    "half a setting": (frame(4, b"\x06"), H3_SETTINGS_ERROR),
    "data": (frame(4, b"") + frame(0, b"x"), H3_FRAME_UNEXPECTED),
    "headers": (frame(4, b"") + frame(1, b"x"), H3_FRAME_UNEXPECTED),
    "an HTTP/2 frame": (frame(4, b"") + frame(2, b""), H3_FRAME_UNEXPECTED),
    "no push to cancel": (frame(4, b"") + frame(3, b"\x00"), H3_ID_ERROR),
    "a long goaway": (frame(4, b"") + frame(7, b"\x00\x00"), H3_FRAME_ERROR),
    "MAX_PUSH_ID that shrinks": (frame(4, b"") + frame(13, b"\x05") + frame(13, b"\x04"), H3_ID_ERROR),
    "a goaway that grows": (frame(4, b"") + frame(7, b"\x05") + frame(7, b"\x06"), H3_ID_ERROR),
    "a huge frame": (frame(4, b"") + varint(4) + varint(1 << 40), H3_EXCESSIVE_LOAD),
    "a priority of nothing": (frame(4, b"") + frame(0xF0700, varint(2) + b"u=1"), H3_ID_ERROR),
    "a priority far ahead": (frame(4, b"") + frame(0xF0700, varint(1 << 30) + b"u=1"), H3_ID_ERROR),
}


@pytest.mark.parametrize("name", BAD_STREAMS)
def test_streams_that_end_the_connection(name: str) -> None:
    data, code = BAD_STREAMS[name]
    server = Server(hello)
    client = server.client()
    client.uni(data)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == code


def bare_client(server: Server) -> Client:
    """A client whose handshake is over, and that has opened none of its streams."""
    client = server.connect()
    client.bare = True
    return client.start()


@pytest.mark.parametrize("name", BAD_CONTROL)
def test_control_frames_that_end_the_connection(name: str) -> None:
    data, code = BAD_CONTROL[name]
    server = Server(hello)
    client = bare_client(server)
    client.uni(varint(0) + data)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == code


def test_h3_control_numbers_that_may_be() -> None:
    server = Server(hello)
    client = bare_client(server)
    client.uni(varint(0) + frame(4, b"") + frame(13, b"\x05") * 2 + frame(13, b"\x06"))
    server.settle(0.1)
    assert client.closed is None


def test_a_request_after_the_clients_goaway_is_answered() -> None:
    server = Server(hello)
    client = server.client()
    client.quic.send_stream_data(client.http._local_control_stream_id, frame(7, b"\x00") * 2)
    assert client.ask().body == b"hello"
    client.quic.send_stream_data(client.http._local_control_stream_id, frame(7, b"\x00"))
    server.settle(0.5)
    assert client.ask().body == b"hello"
    assert client.closed is None
    server.settle(2)
    assert client.closed is not None, "nothing came any more"
    assert client.closed.error_code == H3_NO_ERROR


def test_a_request_without_a_host_is_malformed() -> None:
    server = Server(hello)
    client = server.client()
    stream = client.send([(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/")])
    server.settle()
    assert client.answer(stream).reset == H3_MESSAGE_ERROR
    assert not client.answer(stream).heads
    assert client.ask([*request()[:2], (b":path", b"/"), (b"host", b"localhost")]).body == b"hello"


def test_references_to_one_entry_are_one_object() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(pair for pair in scope["headers"] if pair[0] == b"x")
        await hello(scope, receive, send)

    server = Server(app)
    client = bare_client(server)
    client.uni(varint(0) + frame(4, b""))
    client.uni(varint(2) + b"\x3f\xe1\x07" + b"\x41x\x7f\xd9\x03" + b"v" * 600)  # the table's size, and one entry
    server.settle(0.1)
    for _ in range(5):
        client.raw(frame(1, b"\x02\x00" + b"\xd1\xd7\xc1\x50\x01x" + b"\x80" * 90), end=True)
        server.settle(0.1)
    assert len(seen) == 450
    assert seen[0] == (b"x", b"v" * 600)
    assert len({id(pair) for pair in seen}) == 1


def test_octet_by_octet() -> None:
    server = Server(echo)
    client = bare_client(server)
    control = client.uni(b"")
    for octet in varint(0) + frame(4, b"\x06\x40\x80") + frame(0x21, b"grease") + frame(0xF0700, b"\x00u=1"):
        client.raw(bytes((octet,)), stream=control)
        server.settle(0.01)
    stream = client.raw(b"")
    for octet in REQUEST + frame(0x21, b"grease"):
        client.raw(bytes((octet,)), stream=stream)
        server.settle(0.01)
    client.raw(b"", stream=stream, end=True)
    server.settle(1)
    assert client.closed is None
    assert server.records[0][1] == 200


@pytest.mark.parametrize("kind", [0, 2, 3])
@pytest.mark.parametrize("how", ["reset", "end", "stop"])
def test_streams_that_have_to_stay(kind: int, how: str) -> None:
    server = Server(hello)
    client = server.client()
    if how == "stop":
        stream = {
            0: server.connection.control.control_id,
            2: server.connection.control.encoder_id,
            3: server.connection.control.decoder_id,
        }[kind]
        client.quic.stop_stream(stream, 0x100)
    else:
        http = client.http
        ids = {0: http._local_control_stream_id, 2: http._local_encoder_stream_id, 3: http._local_decoder_stream_id}
        if how == "reset":
            client.quic.reset_stream(ids[kind], 0x100)
        else:
            client.quic.send_stream_data(ids[kind], b"", True)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == H3_CLOSED_CRITICAL_STREAM


def test_unknown_streams_are_stopped_and_nothing_else() -> None:
    server = Server(hello)
    client = server.client()
    for number in range(40):
        client.uni(varint(0x40 + 0x1F * number) + b"whatever")
        server.settle(0.05)
        if number % 4 == 3:
            assert client.ask().body == b"hello"
    assert client.closed is None


def test_a_stream_that_ends_before_its_request() -> None:
    server = Server(hello)
    client = server.client()
    stream = client.raw(b"", end=True)
    server.settle()
    assert client.answer(stream).reset == H3_REQUEST_INCOMPLETE
    assert client.ask().body == b"hello"


def test_qpack_sections_that_wait_for_their_table() -> None:
    server = Server(hello)
    client = server.client()
    http = client.http
    server.settle()
    # The last octet refers to the first entry of a table that has none yet.
    stream = client.raw(frame(1, b"\x02\x00\xd1\xd7\x50\x09localhost\xc1\x80"), end=True)
    server.settle()
    assert not client.answer(stream).heads, "it was answered before its fields were there"
    client.quic.send_stream_data(http._local_encoder_stream_id, b"\x3f\xe1\x07" + b"\x41a\x01b")
    server.settle()
    assert server.records[0][1] == 200
    assert server.records[0][0]["headers"] == [(b"host", b"localhost"), (b"a", b"b")]


def test_qpack_instructions_that_are_malformed() -> None:
    server = Server(hello)
    client = server.client()
    client.quic.send_stream_data(client.http._local_encoder_stream_id, b"\x3f\xff\xff\xff\xff\x0f")  # a huge table
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == QPACK_ENCODER_STREAM_ERROR


def test_sections_that_stand_for_too_much_are_refused() -> None:
    server = Server(hello)
    client = server.client()
    block = b"\x02\x00\xd1\xd7\x50\x09localhost\xc1" + b"\x80" * 20000
    client.quic.send_stream_data(client.http._local_encoder_stream_id, b"\x3f\xe1\x07" + b"\x41a\x01b")
    stream = client.raw(frame(1, block), end=True)
    server.settle()
    assert client.answer(stream).status == 431
    assert client.ask().body == b"hello"
