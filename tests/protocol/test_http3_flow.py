"""HTTP/3 in memory: flow control both ways, priorities, what is taken back, times, and ends."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from aioquic.buffer import Buffer
from tests.support.http3 import Client, Server, request
from tests.support.live import body_of, echo, hello, respond

from hypercorn.errors import ClientDisconnected
from hypercorn.testing import Event, sleep
from hypercorn.wire.http3 import (
    F_GOAWAY,
    H3_EXCESSIVE_LOAD,
    H3_INTERNAL_ERROR,
    H3_NO_ERROR,
    H3_REQUEST_CANCELLED,
    H3_REQUEST_INCOMPLETE,
    H3_REQUEST_REJECTED,
    LARGEST_VARINT,
    frame,
    varint,
)


async def pieces(send: Any, count: int, size: int = 16384, sent: list[int] | None = None) -> None:
    """A response in pieces."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for number in range(count):
        await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
        if sent is not None:
            sent.append(number)
    await send({"type": "http.response.body"})


def streams_of(client: Client) -> list[int]:
    """Requests that QUIC still keeps on the server's side."""
    return [number for number in client.server.connection.quic._streams if not number & 3]


def test_q_h3_5_an_application_waits_for_a_client_that_does_not_read() -> None:
    sent: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pieces(send, 1000, sent=sent)

    server = Server(app)
    client = server.client(max_data=100000, max_stream_data=100000)
    # It takes no more than its first window: aioquic would open it as data comes.
    client.quic._write_stream_limits = lambda **_: None
    client.quic._write_connection_limits = lambda **_: None
    client.send(request())
    server.settle(5)
    assert len(client.answer(0).body) <= 100000
    assert len(sent) * 16384 <= 100000 + 65536 + 16384
    frames_held = sum(len(stream.sender._buffer) for stream in server.connection.quic._streams.values())
    assert frames_held <= 100000


@pytest.mark.parametrize("whole", [False, True], ids=["stream", "connection"])
@pytest.mark.parametrize("window", [100, 5000, 65536, 1 << 20])
def test_answers_larger_than_the_window_go_on_as_it_opens(window: int, whole: bool) -> None:
    """Their windows, or that of the connection, are used up again and again: pieces wait, and what is asked for
    meanwhile does not."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pieces(send, 150 if scope["path"] == "/large" else 1)

    server = Server(app)
    wide = 1 << 24
    client = server.client(max_data=window + 1000 if whole else wide, max_stream_data=wide if whole else window)
    large = [client.send(request(b"/large")) for _ in range(2)]
    server.settle(0.02)
    small = client.send(request())
    server.settle(5)
    assert [len(client.answer(stream).body) for stream in large] == [150 * 16384] * 2
    assert len(client.answer(small).body) == 16384
    assert all(client.answer(stream).over for stream in (*large, small))
    assert not server.log.errors


def test_a_window_that_is_opened_by_an_octet_too_often() -> None:
    """As over HTTP/2: it costs more than it is good for, and ends the connection."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pieces(send, 100)

    server = Server(app)
    client = server.client(max_data=1 << 24, max_stream_data=1000)
    client.quic._write_stream_limits = partial(octet_by_octet, client.quic._write_stream_limits)
    for _ in range(20):
        client.send(request())
    for _ in range(1000):
        server.settle(0.01)
        if client.closed is not None:
            break
    assert client.closed is not None
    assert client.closed.error_code == H3_EXCESSIVE_LOAD
    assert sum(len(answer.body) for answer in client.answers.values()) > 20 * 1000 + 5000, "it was patient"
    assert not server.log.errors


def octet_by_octet(own: Any, *, stream: Any, **options: Any) -> None:
    """A client's way to open a window: by one, whenever it sends a packet."""
    if not stream.stream_id & 3:
        received, stream.receiver.highest_offset = stream.receiver.highest_offset, 0
        stream.max_stream_data_local += 1
        own(stream=stream, **options)
        stream.receiver.highest_offset = received
    else:
        own(stream=stream, **options)


def test_a_client_waits_for_an_application_that_does_not_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await respond(send, b"%d" % len(await body_of(receive)))

    gate = Event()
    server = Server(app, h2_stream_window=65536)
    client = server.client()
    stream = client.send(request(b"/", b"POST"), b"x" * 1000000)
    server.settle(3)
    kept = server.connection.streams[stream].exchange.queued
    assert 30000 < kept <= 65536
    gate.set()
    server.settle(3)
    assert client.answer(stream).body == b"1000000"
    assert server.connection.grown == 0


def test_credit_follows_what_was_taken() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            await sleep(0.05)
            if not message["more_body"]:
                break
        await respond(send)

    server = Server(app, h2_stream_window=20000, h2_max_stream_window=20000)
    client = server.client()
    stream = client.send(request(b"/", b"POST"), b"x" * 200000)
    most = 0
    for _ in range(200):
        server.settle(0.05)
        record = server.connection.streams.get(stream)
        if record is None or record.exchange is None:
            break
        most = max(most, record.exchange.queued)
    assert client.answer(stream).over
    assert most <= 20000


def test_the_connection_window_is_not_held_by_one_that_does_not_read() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/never":
            await Event().wait()
        await respond(send, await body_of(receive))

    server = Server(app, h2_stream_window=65536, h2_connection_window=131072)
    client = server.client()
    for _ in range(4):
        client.send(request(b"/never", b"POST"), b"x" * 100000)
    server.settle(2)
    assert client.ask(request(b"/", b"POST"), b"y" * 50000).body == b"y" * 50000


def test_a_urgent_answer_overtakes_a_large_one() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pieces(send, 100 if scope["path"] == "/large" else 1)

    server = Server(app)
    client = server.client(max_data=1 << 24, max_stream_data=1 << 24)
    large = client.send(request(b"/large", b"GET", (b"priority", b"u=7")))
    for _ in range(6):
        server.exchange()
    assert not client.answer(large).over
    small = client.send(request(b"/small", b"GET", (b"priority", b"u=0")))
    order: list[int] = []
    while not client.answer(large).over:
        server.settle(0.001)
        order += [stream for stream in (small, large) if client.answer(stream).over and stream not in order]
    assert order[0] == small
    assert len(client.answer(large).body) == 1638400


def test_priority_update_before_and_after_the_request() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await pieces(send, 20)

    server = Server(app)
    client = server.client(max_data=1 << 24, max_stream_data=1 << 24)
    control = client.http._local_control_stream_id
    first = client.send(request(b"/1", b"GET", (b"priority", b"u=1")))
    server.settle()
    client.raw(frame(0xF0700, varint(first) + b"u=6"), stream=control)
    client.raw(frame(0xF0700, varint(first + 4) + b"u=0, i"), stream=control)
    server.settle()
    second = client.send(request(b"/2"))
    server.settle()
    streams = server.connection.streams
    assert (streams[first].urgency, streams[first].incremental) == (6, False)
    assert (streams[second].urgency, streams[second].incremental) == (0, True)
    gate.set()
    server.settle(2)
    assert client.answer(first).over
    assert client.answer(second).over


@pytest.mark.parametrize("how", ["reset", "stop", "both"])
def test_h3_02_q_h3_3_a_stream_that_is_taken_back_is_told_to_its_application(how: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/fine":
            await respond(send, b"fine")
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            while True:
                await send({"type": "http.response.body", "body": b"x" * 10000, "more_body": True})
                await sleep(0.01)
        except ClientDisconnected as error:
            seen.append(error)
            message = await receive()
            seen.append(message["type"])
            raise

    server = Server(app)
    client = server.client(max_data=1 << 24, max_stream_data=1 << 24)
    stream = client.send(request(b"/", b"POST"), end=False)
    server.settle(0.05)
    if how != "stop":
        client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
    if how != "reset":
        client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
    server.settle(0.5)
    assert isinstance(seen[0], OSError)
    assert seen[1] == "http.disconnect"
    assert client.ask(request(b"/fine")).body == b"fine"
    assert not server.log.errors
    assert not server.connection.streams
    assert not server.connection.orphans.count


def test_an_application_that_does_not_end_is_cancelled() -> None:
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await Event().wait()
        finally:
            ended.append(scope["path"])

    server = Server(app)
    client = server.client()
    stream = client.send(request())
    server.settle(0.1)
    client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
    server.settle(1)
    assert ended == ["/"]
    assert server.connection.orphans.count == 0


def test_h3_04_streams_are_freed() -> None:
    server = Server(hello)
    client = server.client()
    for _ in range(300):
        client.send(request())
        server.settle(0.01)
    server.settle(1)
    connection = server.connection
    assert not connection.streams
    assert len(connection.fed_streams) <= 40
    assert [number for number in connection.readers if not number & 3] == []
    assert streams_of(client) == []
    assert not connection.skipped_ids


def test_rapid_resets_end_the_connection_and_no_other() -> None:
    calls: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        await Event().wait()

    server = Server(app, h2_max_resets=50, h2_max_concurrent_streams=20)
    other = server.client()
    client = server.client()
    for _ in range(200):
        if client.closed is not None:
            break
        for _ in range(10):
            stream = client.send(request())
            client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
            client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
        server.settle(0.01)
    server.settle(1)
    assert client.closed is not None
    assert client.closed.error_code == H3_EXCESSIVE_LOAD
    assert len(calls) <= 60
    assert other.closed is None


def test_more_streams_than_allowed_are_rejected() -> None:
    ready = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await ready.wait()
        except BaseException:
            await ready.wait()  # it does not let itself be cancelled
        await respond(send)

    server = Server(app, h2_max_concurrent_streams=4)
    client = server.client()
    first = [client.send(request()) for _ in range(4)]
    server.settle()
    for stream in first:
        client.quic.reset_stream(stream, H3_REQUEST_CANCELLED)
        client.quic.stop_stream(stream, H3_REQUEST_CANCELLED)
    server.settle(0.5)
    more = client.send(request())
    server.settle(0.5)
    assert client.answer(more).reset == H3_REQUEST_REJECTED
    ready.set()
    server.settle(0.5)
    assert client.ask().status == 200


def test_an_application_that_fails() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        raise ValueError("no")

    server = Server(app)
    client = server.client()
    assert client.ask().status == 500
    assert client.ask(request(b"/late")).reset == H3_INTERNAL_ERROR
    assert len(server.log.errors) == 2
    assert client.closed is None


def test_a_slow_head_a_slow_body_and_a_slow_reader() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/large":
            await pieces(send, 100)
        else:
            await respond(send, await body_of(receive))

    server = Server(app, header_timeout=2.0, body_timeout=3.0, write_timeout=4.0, keep_alive_timeout=60.0)
    client = server.client(max_data=1 << 20, max_stream_data=20000)
    client.quic._write_stream_limits = lambda **_: None
    head = client.raw(b"\x01\x20\x00")
    body = client.send(request(b"/", b"POST"), b"x", end=False)
    reader = client.send(request(b"/large"))
    server.settle(10)
    assert client.answer(head).reset == H3_REQUEST_INCOMPLETE
    assert client.answer(body).status == 408
    assert client.answer(reader).reset == H3_REQUEST_CANCELLED
    assert client.closed is None


RATES = {"min_receive_rate": 100, "min_rate_grace": 2.0, "header_timeout": 60.0, "keep_alive_timeout": 60.0}


@pytest.mark.parametrize("size", [5, 150])
def test_the_least_rate_of_a_body(size: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await body_of(receive))

    server = Server(app, **RATES)
    client = server.client()
    stream = client.send(request(b"/", b"POST"), b"x", end=False)
    for _ in range(8):
        client.http.send_data(stream, b"x" * size, False)
        server.settle(1)
        if client.answer(stream).heads:
            break
    assert bool(client.answer(stream).heads) == (size == 5)
    assert size == 150 or client.answer(stream).status == 408
    assert client.closed is None


def test_a_grpc_call_has_no_least_rate() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await body_of(receive))

    server = Server(app, body_timeout=5.0, **RATES)
    client = server.client()
    kind = (b"content-type", b"application/grpc+proto")
    calls = [client.send(request(b"/", b"POST", kind), b"x", end=False) for _ in range(2)]
    for _ in range(10):
        client.http.send_data(calls[0], b"x", False)
        server.settle(1)
    assert not client.answer(calls[0]).heads
    assert client.answer(calls[1]).status == 408  # it was silent for too long
    client.http.send_data(calls[0], b"x", True)
    server.settle(1)
    assert client.answer(calls[0]).body == b"x" * 12
    assert client.closed is None


@pytest.mark.parametrize("rate", [0, 100_000])
def test_the_least_rate_at_which_a_window_opens(rate: int) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pieces(send, 100)

    server = Server(app, min_send_rate=rate, **RATES)
    client = server.client(max_data=1 << 20, max_stream_data=20000)
    client.quic._write_stream_limits = lambda **_: None
    stream = client.send(request(b"/"))
    server.settle(5)
    assert client.answer(stream).reset == (H3_REQUEST_CANCELLED if rate else None)
    assert client.closed is None


def test_q_h3_6_an_idle_connection_is_closed_politely() -> None:
    server = Server(hello, keep_alive_timeout=5.0)
    client = server.client()
    client.ask()
    server.settle(4)
    assert client.closed is None
    server.settle(3)
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR
    server.settle(5)
    assert not server.endpoint.peers
    assert not server.endpoint.table
    assert not server.pending(), "an endpoint without connections has no timer"


def test_q_h3_6_keep_alive_max_requests() -> None:
    server = Server(hello, keep_alive_max_requests=3)
    client = server.client()
    for _ in range(3):
        assert client.ask().body == b"hello"
    server.settle(3)
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR


def test_pings_keep_a_silent_stream_open_and_find_a_peer_that_is_gone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(100)
        await respond(send, b"late")

    server = Server(app, h2_ping_interval=20.0, h2_ping_timeout=10.0, quic_idle_timeout=30.0)
    client = server.client(idle_timeout=30.0)
    stream = client.send(request())
    server.settle(101)
    assert client.answer(stream).body == b"late"
    client.send(request())
    server.settle(1)
    client.lose = lambda _: True
    server.settle(60)
    assert not server.endpoint.peers
    assert not server.log.errors


def goaways(client: Client) -> list[int]:
    """The ids that the server's GOAWAY frames gave (RFC 9114 section 5.2)."""
    control = Buffer(data=b"".join(event.data for event in client.events if getattr(event, "stream_id", -1) == 3))
    assert control.pull_uint_var() == 0
    ids = []
    while not control.eof():
        kind, payload = control.pull_uint_var(), Buffer(data=control.pull_bytes(control.pull_uint_var()))
        if kind == F_GOAWAY:
            ids.append(payload.pull_uint_var())
    return ids


def test_h3_10_q_h3_4_shutdown_says_goodbye() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/slow":
            await gate.wait()
        await respond(send, b"done")

    server = Server(app)
    busy, idle = server.client(), server.client()
    idle.ask()
    stream = busy.send(request(b"/slow"))
    server.settle()
    server.context.terminating = True
    connections = list(server.deadlines.connections)
    for connection in connections:
        connection.shutdown()
    server.settle(1.5)
    assert idle.closed is not None
    assert idle.closed.error_code == H3_NO_ERROR
    assert busy.closed is None
    late = busy.send(request())
    server.settle()
    assert busy.answer(late).reset == H3_REQUEST_REJECTED
    assert goaways(idle)[-1] == 4, "the next one that would have been served"
    assert goaways(busy) == [LARGEST_VARINT - 3, 4], "first all that is on its way, then what was taken"
    newcomer = server.connect()
    server.settle(1)
    assert newcomer.closed is not None, "it was let in"
    assert newcomer.closed.error_code == 2  # CONNECTION_REFUSED
    gate.set()
    server.settle(1)
    assert busy.answer(stream).body == b"done"
    assert busy.closed is not None
    assert busy.closed.error_code == H3_NO_ERROR
    assert len(server.ended) == 2


def test_h3_10_abort_closes_every_connection_once() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Event().wait()

    server = Server(app)
    clients = [server.client() for _ in range(3)]
    for client in clients:
        client.send(request())
    server.settle()
    server.context.terminating = True
    for connection in list(server.deadlines.connections):
        connection.abort()
        connection.abort()
    server.settle(0.5)
    assert [client.closed.error_code for client in clients if client.closed] == [H3_NO_ERROR] * 3
    assert len(server.ended) == 3
    server.endpoint.close()
    assert not server.endpoint.table


def test_a_close_that_got_lost_is_repeated() -> None:
    server = Server(hello, keep_alive_timeout=1.0)
    client = server.client()
    client.ask()
    client.lose = lambda data: data not in client.sent  # what the server sends
    while not server.ended:
        server.settle(0.01)
    assert client.closed is None
    client.lose = lambda _: False
    client.quic.send_ping(1)
    server.settle(0.2)
    assert client.closed is not None
    assert client.closed.error_code == H3_NO_ERROR


def test_a_client_that_leaves() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        seen.append((await receive())["type"])

    server = Server(app)
    client = server.client()
    client.send(request())
    server.settle()
    client.quic.close()
    server.settle(0.2)
    assert seen == ["http.disconnect"]
    assert len(server.ended) == 1


def test_a_large_echo_through_a_path_that_loses() -> None:
    server = Server(echo)
    client = server.client(max_data=1 << 24, max_stream_data=1 << 24)
    count = 0

    def lose(_: bytes) -> bool:
        nonlocal count
        count += 1
        return count % 11 == 0

    client.lose = lose
    data = bytes(range(256)) * 1200
    stream = client.send(request(b"/", b"POST"), data)
    server.settle(60)
    assert client.answer(stream).body == data
    assert not server.log.errors
