"""Flow control (RFC 9113 sections 5.2 and 6.9), priorities (RFC 9218), GOAWAY in two steps (6.8), Upgrade: h2c."""

from __future__ import annotations

import base64
import random
from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import (
    GET,
    H2,
    NO_ERROR,
    PING,
    POST,
    PREFACE,
    PRIORITY_UPDATE,
    SETTINGS_ACK,
    START,
    data,
    frame,
    headers,
    ping,
    reset,
    settings,
    window_update,
)

from hypercorn.testing import Event, sleep


def path(value: bytes) -> list[tuple[bytes, bytes]]:
    return [*GET[:2], (b":path", value), GET[3]]


# -- receiving


def test_h2_05_e09_no_credit_beyond_what_was_read() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        total = 0
        while True:
            message = await receive()
            total += len(message["body"])
            if not message["more_body"]:
                break
        await send(start())
        await send(body(b"%d" % total))

    h2 = H2(app)
    h2.send(headers(1, POST, end=False), data(1, bytes(16384)) * 3, data(1, bytes(16383)))
    assert 1 not in h2.reader.windows
    gate.set()
    h2.advance(0.1)
    assert h2.reader.windows[1] >= 65535
    h2.send(data(1, b"x", end=True))
    assert h2.answer().body == b"65536"


def test_q_h2_9_an_upload_that_nobody_reads_does_not_hold_the_others() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/stall":
            await sleep(1000)
        else:
            await Reads()(scope, receive, send)

    h2 = H2(app)
    stalled = [(b":method", b"POST"), *path(b"/stall")[1:]]
    for stream in range(1, 181, 2):
        h2.send(headers(stream, stalled, end=False), data(stream, bytes(16383)) * 4)
    assert h2.goaway is None
    for stream in range(181, 199, 2):
        h2.send(headers(stream, POST, end=False), data(stream, bytes(16383)) * 3, data(stream, b"", end=True))
        assert h2.answer(stream).body == b"49149"


def test_windows_grow_while_the_application_keeps_up() -> None:
    h2 = H2(Reads())
    h2.send(headers(1, POST, end=False))
    window, sent = 65535, 0
    while sent < 20_000_000:
        size = min(window, 16384)
        assert size > 0
        h2.send(data(1, bytes(size)))
        sent += size
        window = 65535 + h2.reader.windows.get(1, 0) - sent
    assert window > 500_000
    h2.send(data(1, b"", end=True))
    assert h2.answer().body == b"%d" % sent
    assert h2.connection.grown == 0


def test_e08_data_for_streams_that_were_reset_is_given_back() -> None:
    h2 = H2(Answers(start(), body(b"")))
    h2.send(headers(1, POST, end=False))
    for _ in range(2000):
        h2.send(data(1, bytes(16384)))
    assert h2.goaway is None
    assert h2.alive()


def test_padding_counts_and_is_given_back() -> None:
    h2 = H2(Reads())
    h2.send(headers(1, POST, end=False))
    for _ in range(2000):
        h2.send(frame(0, 8, 1, b"\xff" + b"x" + bytes(255)))
    assert h2.goaway is None
    assert h2.answer().reset is None
    h2.send(data(1, b"", end=True))
    assert h2.answer().body == b"2000"


# -- sending


def test_e01_nothing_is_sent_into_a_closed_window() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for _ in range(160):
            await send(body(bytes(65536), True))

    h2 = H2(app, start=PREFACE + settings((4, 0)) + SETTINGS_ACK, write_timeout=60.0, h2_ping_interval=None)
    h2.send(*(headers(stream) for stream in range(1, 201, 2)))
    assert all(stream.pending <= 131072 for stream in h2.connection.streams.values())
    assert sum(len(answer.body) for answer in h2.reader.answers.values()) == 0
    h2.advance(61)
    assert all(h2.answer(stream).reset is not None for stream in range(1, 201, 2))
    assert not h2.server.runtime.tasks


def test_h2_03_e06_a_window_that_became_negative() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(bytes(60000), True))
        await gate.wait()
        await send(body(b"tail" if scope["path"] == "/" else b""))

    h2 = H2(app)
    h2.send(headers(1), headers(3, path(b"/end")), window_update(0, 100000))
    h2.send(settings((4, 10000)))
    assert h2.connection.streams[1].send_window == 10000 - 60000
    gate.set()
    h2.advance(0.1)
    assert h2.answer(3).ended  # an empty frame needs no window
    assert not h2.answer(1).ended
    h2.send(window_update(1, 50000))
    assert len(h2.answer(1).body) == 60000
    h2.send(window_update(1, 2))
    assert len(h2.answer(1).body) == 60002
    h2.send(settings((4, 10002)))
    assert h2.answer(1).body.endswith(b"tail")
    assert h2.answer(1).ended


def test_h2_04_h2_24_q_h2_18_the_writer_waits_until_the_rest_is_small() -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for number in range(4):
            await send(body(bytes(70000), True))
            sent.append(number)
        await send(body(b""))

    h2 = H2(app)
    h2.send(headers(1), window_update(0, 1 << 20))
    assert sent == [0]
    h2.send(settings((4, 65535)))
    for _ in range(10):
        h2.send(window_update(1, 5000))
    assert sent == [0]
    for _ in range(20):
        h2.send(window_update(1, 5000))
    assert sent == [0, 1, 2]  # 215,535 octets have left: of the fourth message nothing waits
    h2.send(window_update(1, 1 << 20))
    assert h2.answer().ended
    assert len(h2.answer().body) == 280000


def test_e03_the_transport_is_full() -> None:
    sent = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        for number in range(100):
            await send(body(bytes(16384), True))
            sent.append(number)
        await send(body(b""))

    h2 = H2(app)
    h2.send(window_update(0, 1 << 30), settings((4, 1 << 30)))
    h2.client.stop_reading()
    h2.client.send(headers(1) + headers(3))
    assert len(h2.client.transport.pending) <= 65536 + 2 * 131072
    assert len(sent) < 60
    h2.client.start_reading()
    h2.advance(0.1)
    assert [len(h2.answer(stream).body) for stream in (1, 3)] == [1638400] * 2


def test_e04_streams_share_what_the_connection_may_send() -> None:
    h2 = H2(Answers(start(), body(bytes(200000))))
    h2.send(settings((4, 1 << 20)), *(headers(stream) for stream in range(1, 9, 2)))
    for _ in range(4):
        h2.send(window_update(0, 65536))
    sizes = [len(h2.answer(stream).body) for stream in range(1, 9, 2)]
    assert min(sizes) > 30000
    for _ in range(12):
        h2.send(window_update(0, 65536))
    assert [len(h2.answer(stream).body) for stream in range(1, 9, 2)] == [200000] * 4


def test_one_stalled_stream_leaves_the_others_alone() -> None:
    h2 = H2(Answers(start(), body(bytes(100000))))
    h2.send(window_update(0, 1 << 24), headers(1))
    assert len(h2.answer(1).body) == 65535
    for stream in range(3, 40, 2):
        h2.send(headers(stream), window_update(stream, 100000))
        assert h2.answer(stream).ended


def test_e02_a_window_octet_by_octet() -> None:
    h2 = H2(Answers(start(), body(bytes(100000))), start=PREFACE + settings((4, 0)) + SETTINGS_ACK)
    h2.send(headers(1))
    for _ in range(300):
        h2.send(window_update(1, 1) * 100)
    assert h2.goaway == 11 or h2.over


# -- priorities


def test_n48_an_urgent_response_overtakes_a_large_one() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(bytes(10_000_000) if scope["path"] == "/large" else b"small"))

    h2 = H2(app, start=PREFACE + settings((4, 1 << 30)) + SETTINGS_ACK)
    h2.send(window_update(0, 1 << 30))
    h2.client.stop_reading()
    h2.client.send(headers(1, path(b"/large")))
    h2.client.send(headers(3, [*path(b"/small"), (b"priority", b"u=0")]))
    for _ in range(4):
        h2.reader.feed(h2.client.read(100_000))
    assert h2.answer(3).ended
    assert not h2.answer(1).ended
    assert len(h2.answer(1).body) < 500_000


def test_sequential_and_incremental_streams() -> None:
    h2 = H2(Answers(start(), body(bytes(100000))))
    h2.send(settings((4, 1 << 20)), window_update(0, 1))
    h2.send(*(headers(stream, [*GET, (b"priority", b"u=5")]) for stream in (1, 3)))
    h2.send(window_update(0, 40000))
    assert len(h2.answer(1).body) > 100000 - 10
    assert len(h2.answer(3).body) < 10000


def test_priority_update_reorders() -> None:
    h2 = H2(Answers(start(), body(bytes(100000))))
    h2.send(settings((4, 1 << 20)))
    h2.send(headers(1, [*GET, (b"priority", b"u=5")]), headers(3, [*GET, (b"priority", b"u=5")]))
    h2.send(frame(PRIORITY_UPDATE, 0, 0, (3).to_bytes(4, "big") + b"u=1"), window_update(0, 90000))
    assert len(h2.answer(3).body) == 90000
    h2.send(frame(PRIORITY_UPDATE, 0, 0, (5).to_bytes(4, "big") + b"u=0"), headers(5))
    assert h2.connection.streams[5].urgency == 0


# -- the end of a connection


def test_g07_q_h2_11_a_graceful_shutdown() -> None:
    gate = Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await gate.wait()
        await send(start())
        await send(body(b"done"))

    h2 = H2(app)
    h2.send(headers(1), headers(3))
    h2.server.shutdown()
    h2.receive()
    assert h2.reader.goaways == [((1 << 31) - 1, NO_ERROR)]
    h2.send(headers(5))  # was on its way
    drain = next(one.payload for one in h2.reader.frames if one.kind == PING)
    h2.send(ping(drain, ack=True))
    assert h2.reader.goaways[-1] == (5, NO_ERROR)
    h2.send(headers(7))
    assert not h2.client.closed
    gate.set()
    h2.advance(0.01)
    assert [h2.answer(stream).body for stream in (1, 3, 5)] == [b"done"] * 3
    assert 7 not in {stream for stream, answer in h2.reader.answers.items() if answer.headers}
    assert h2.client.closed


def test_h2_13_an_idle_connection_ends_at_once() -> None:
    h2 = H2(Answers())
    h2.send(headers(1))
    h2.advance(2)
    h2.server.shutdown()
    assert h2.goaway == NO_ERROR
    assert h2.client.closed


def test_a_connection_of_a_moment_ago_is_drained() -> None:
    """It gets its two GOAWAYs, as what it asks next may be on its way."""
    h2 = H2(Answers())
    h2.send(headers(1))
    h2.server.shutdown()
    h2.receive()
    assert not h2.client.closed
    drain = next(one.payload for one in h2.reader.frames if one.kind == PING)
    h2.send(headers(3), ping(drain, ack=True))
    assert h2.reader.goaways[-1] == (3, NO_ERROR)
    assert h2.client.closed


def test_a_peer_that_does_not_answer_the_drain() -> None:
    h2 = H2(Answers(start(), body(bytes(70000))))
    h2.send(headers(1))
    h2.server.shutdown()
    h2.advance(1.1)
    assert h2.reader.goaways[-1] == (1, NO_ERROR)
    h2.send(window_update(1, 70000), window_update(0, 70000))
    assert h2.answer().ended
    assert h2.client.closed


def test_h2_19_g09_q_h2_1_a_limit_of_requests_drops_nothing() -> None:
    h2 = H2(Answers(start(), body(b"ok")), keep_alive_max_requests=10)
    h2.send(*(headers(stream) for stream in range(1, 31, 2)))
    assert [h2.answer(stream).body for stream in range(1, 31, 2)] == [b"ok"] * 15
    assert h2.reader.goaways[0] == ((1 << 31) - 1, NO_ERROR)
    drain = next(one.payload for one in h2.reader.frames if one.kind == PING)
    h2.send(ping(drain, ack=True))
    assert h2.reader.goaways[-1] == (29, NO_ERROR)
    assert h2.client.closed


# -- Upgrade: h2c


def upgrade(
    extra: bytes = b"", value: bytes = b"AAMAAABkAAQAAP__", connection: bytes = b"Upgrade, HTTP2-Settings"
) -> bytes:
    return b"GET /x HTTP/1.1\r\nhost: a\r\nconnection: %b\r\nupgrade: h2c\r\nhttp2-settings: %b\r\n%b\r\n" % (
        connection,
        value,
        extra,
    )


def switched(h2: H2) -> bytes:
    """Sends nothing; splits the 101 from the frames behind it."""
    received = h2.client.received()
    head, _, rest = received.partition(b"\r\n\r\n")
    h2.reader.feed(rest)
    return head


def test_h2_11_q_h1_13_upgrade() -> None:
    """G03: RFC 9113 section 3.1 made the way by Upgrade obsolete; clients that offer it exist (H2-11, curl --http2), so
    an option switches it on."""
    app = Answers(start(), body(b"ok"))
    h2 = H2(app, start=b"", h2c_upgrade=True)
    h2.client.send(upgrade(b"keep-alive: 1\r\nx: y\r\n"))
    assert switched(h2).startswith(b"HTTP/1.1 101 ")
    assert app.scopes[0]["http_version"] == "2"
    assert app.scopes[0]["headers"] == [(b"host", b"a"), (b"x", b"y")]
    h2.send(START, headers(3))
    assert (h2.answer(1).body, h2.answer(1).ended) == (b"ok", True)
    assert h2.answer(3).body == b"ok"


def test_no_data_before_the_preface_of_an_upgraded_client() -> None:
    h2 = H2(Answers(start(), body(b"x" * 70000)), start=b"", h2c_upgrade=True)
    h2.client.send(upgrade(value=b"AAQAAgAA"))  # streams of 131072 octets
    switched(h2)
    assert h2.answer(1).status == 200
    assert h2.answer(1).body == b""
    h2.send(START[:-3])
    assert h2.answer(1).body == b""
    h2.send(START[-3:])
    assert len(h2.answer(1).body) == 65535, "the window of the connection"
    h2.send(window_update(0, 10000))
    assert (len(h2.answer(1).body), h2.answer(1).ended) == (70000, True)


def test_an_upgraded_client_without_a_preface_is_not_waited_for() -> None:
    h2 = H2(Answers(start(), body(b"ok")), start=b"", h2c_upgrade=True, header_timeout=5.0)
    h2.client.send(upgrade())
    switched(h2)
    h2.advance(8.0)
    assert h2.client.closed


def test_no_upgrade_by_default() -> None:
    h2 = H2(Answers(), start=b"")
    h2.client.send(upgrade())
    assert h2.client.received().startswith(b"HTTP/1.1 200 ")


def test_no_upgrade_on_a_trusted_connection() -> None:
    h2 = H2(Answers(), start=b"", h2c_upgrade=True, trusted_proxies=["127.0.0.1"])
    h2.client.send(upgrade())
    assert h2.client.received().startswith(b"HTTP/1.1 200 ")
    h2 = H2(Answers(), start=b"", h2c_upgrade=True, trusted_proxies=["10.0.0.1"])
    h2.client.send(upgrade())
    assert h2.client.received().startswith(b"HTTP/1.1 101 ")


def test_an_upgrade_behind_a_pipeline_that_had_paused_reading_reads_on() -> None:
    reads = Reads()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(1.0)
        await reads(scope, receive, send)

    h2 = H2(app, start=b"", h2c_upgrade=True)
    h2.client.send(b"GET /first HTTP/1.1\r\nhost: a\r\n\r\n" + upgrade() + START)
    h2.client.send(headers(3, POST, end=False) + b"".join(data(3, b"x" * 16000) for _ in range(4)))
    h2.client.send(data(3, b"y" * 1500))
    assert h2.client.paused
    h2.client.advance(1.1)
    received = h2.client.received()
    assert received.startswith(b"HTTP/1.1 200 ")
    h2.reader.feed(received[received.index(b"HTTP/1.1 101 ") :].partition(b"\r\n\r\n")[2])
    assert not h2.client.paused
    h2.advance(1.1)
    h2.send(data(3, b"z", end=True))
    h2.advance(1.1)
    assert h2.answer(1).ended
    assert h2.answer(3).ended
    assert reads.body() == b"x" * 64000 + b"y" * 1500 + b"z"


def test_a_connection_that_is_upgraded_while_the_server_goes_down_ends() -> None:
    """The successor is told: it answers what is open, and takes no more."""
    for send in (upgrade() + START, START + headers(1)):
        h2 = H2(Answers(start(), body(b"ok")), start=b"", h2c_upgrade=True)
        h2.server.shutdown()
        h2.client.send(send)
        if send[:3] == b"GET":
            switched(h2)
        h2.receive()
        assert h2.reader.goaways
        h2.advance(3.0)
        assert h2.answer(1).body == b"ok"
        assert h2.client.closed


def test_h2_11_upgrade_with_a_slow_application() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(9)
        await send(start())
        await send(body(b"slow"))

    h2 = H2(app, start=b"", keep_alive_timeout=5.0, h2c_upgrade=True)
    h2.client.send(upgrade() + START + SETTINGS_ACK)
    switched(h2)
    h2.advance(9.1)
    assert h2.answer(1).body == b"slow"


@pytest.mark.parametrize(
    "request_",
    [
        upgrade(connection=b"HTTP2-Settings"),
        upgrade(connection=b"Upgrade"),
        upgrade(value=b"not base64!"),
        upgrade(value=base64.urlsafe_b64encode(bytes(5)).rstrip(b"=")),
        upgrade(value=base64.urlsafe_b64encode(b"\x00\x02\x00\x00\x00\x02").rstrip(b"=")),
        upgrade(b"http2-settings: \r\n"),
        upgrade(b"content-length: 2\r\n") + b"hi",
    ],
)
def test_upgrades_that_are_not_followed(request_: bytes) -> None:
    h2 = H2(Reads(), start=b"", h2c_upgrade=True)
    h2.client.send(request_)
    assert h2.client.received().startswith(b"HTTP/1.1 200 ")


def test_h2_11_no_upgrade_over_tls() -> None:
    h2 = H2(Answers(), start=b"", h2c_upgrade=True)
    h2.client.transport.scheme = "https"
    h2.client.send(upgrade())
    assert h2.client.received().startswith(b"HTTP/1.1 200 ")


def test_h2_12_upgrade_where_http2_is_off() -> None:
    h2 = H2(Answers(), start=b"", alpn_protocols=["http/1.1"], h2c_upgrade=True)
    h2.client.send(upgrade())
    assert h2.client.received().startswith(b"HTTP/1.1 200 ")
    h2 = H2(Answers(), start=b"", alpn_protocols=["http/1.1"])
    h2.client.send(START)
    assert h2.client.received().startswith(b"HTTP/1.1 505 ")


# -- a model


@pytest.mark.parametrize("seed", range(6))
def test_n8_random_clients_get_exact_bytes(seed: int) -> None:
    """Random windows, resets, settings and sizes: each response that completes is exact, and ends once."""
    random_ = random.Random(seed)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        size, pieces = map(int, scope["path"][1:].split("-"))
        await send(start())
        for number in range(pieces):
            await send(body(bytes((number % 256,)) * size, True))
            if number % 3 == 0:
                await sleep(0)
        await send(body(b""))

    h2 = H2(app, keep_alive_max_requests=10**9, h2_max_resets=10**6)
    asked: dict[int, tuple[int, int]] = {}
    gone: set[int] = set()
    for step in range(400):
        action = random_.random()
        stream = random_.choice(list(asked)) if asked else 0
        if action < 0.3 and h2.connection and len(h2.connection.streams) < 50:
            new = 2 * step + 1
            asked[new] = (random_.choice([0, 1, 100, 16384, 40000]), random_.randint(0, 6))
            h2.send(headers(new, path(b"/%d-%d" % asked[new])))
        elif action < 0.4 and stream and not h2.answer(stream).ended:
            gone.add(stream)
            h2.send(reset(stream))
        elif action < 0.5:
            h2.send(settings((4, random_.choice([0, 1, 1000, 65535, 100000]))))
        elif action < 0.6:
            h2.send(settings((1, random_.choice([0, 50, 4096]))))
        elif action < 0.8:
            h2.send(window_update(0, random_.randint(1, 100000)))
        elif stream:
            h2.send(window_update(stream, random_.randint(1, 50000)))
    h2.send(settings((4, 1 << 20)), window_update(0, 1 << 24))
    h2.advance(0.5)
    for stream, (size, pieces) in asked.items():
        if stream not in gone:
            answer = h2.answer(stream)
            assert answer.ended
            assert answer.body == b"".join(bytes((number % 256,)) * size for number in range(pieces))
    assert h2.goaway is None
    assert h2.connection.streams == {}
    assert h2.connection.scheduler.waiting == 0
