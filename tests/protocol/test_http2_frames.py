"""RFC 9113 section by section: what a server must not let pass, with frames made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GET,
    GOAWAY,
    H2,
    HEADERS,
    PADDED,
    PING,
    POST,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PRIORITY_UPDATE,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    START,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    headers,
    literal,
    ping,
    reset,
    settings,
    window_update,
)

OPEN = headers(1, POST, end=False)


async def waits(scope: Any, receive: Any, send: Any) -> None:
    """Answers when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


# -- 3.4: the preface, and 6.5: settings


def test_q_h2_12_the_server_begins_with_settings() -> None:
    h2 = H2(Answers(), start=START)
    assert h2.reader.frames[0][:3] == (SETTINGS, 0, 0)
    assert h2.reader.settings == {3: 100, 4: 65535, 5: 16384, 6: 65536, 8: 1, 9: 1}
    assert [one.flags for one in h2.reader.frames if one.kind == SETTINGS] == [0, ACK]


def test_h2_10_prior_knowledge_in_one_segment() -> None:
    h2 = H2(Answers(start(), body(b"ok")), start=START + headers(1))
    assert (h2.answer().status, h2.answer().body, h2.answer().ended) == (200, b"ok", True)
    assert sum(one.kind == SETTINGS for one in h2.reader.frames) == 2


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9, 10, 24, 25, 100])
def test_b08_every_way_to_cut_a_request(size: int) -> None:
    reads = Reads()
    h2 = H2(reads, start=b"")
    h2.send(START, headers(1, POST, end=False), data(1, b"abc"), data(1, b"def", end=True), size=size)
    assert reads.body() == b"abcdef"
    assert h2.answer().body == b"6"


@pytest.mark.parametrize("wrong", range(4, 24))
def test_g01_a_preface_with_one_wrong_octet(wrong: int) -> None:
    preface = bytearray(PREFACE)
    preface[wrong] ^= 1
    h2 = H2(Answers(), start=bytes(preface) + settings())
    assert h2.goaway == PROTOCOL_ERROR
    assert h2.over


@pytest.mark.parametrize("first", [headers(1), ping(), SETTINGS_ACK, window_update(0, 1), frame(0xF0)])
def test_g02_the_first_frame_is_settings(first: bytes) -> None:
    assert H2(Answers(), start=PREFACE + first).goaway == PROTOCOL_ERROR


def test_g04_a_preface_in_the_middle_of_http1_is_no_switch() -> None:
    h2 = H2(Answers(), start=b"")
    h2.client.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n" + START)
    answer = h2.client.received()
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 505" in answer or b"HTTP/1.1 400" in answer


# -- errors that end the connection

SETTING = (0).to_bytes(2, "big")
CONNECTION_ERRORS = {
    "4.2 a frame larger than SETTINGS_MAX_FRAME_SIZE": (frame(DATA, 0, 1, b"x" * 16385), FRAME_SIZE_ERROR),
    "5.1 DATA on an idle stream": (data(3), PROTOCOL_ERROR),
    "5.1 RST_STREAM on an idle stream": (reset(3), PROTOCOL_ERROR),
    "5.1 WINDOW_UPDATE on an idle stream": (window_update(3, 1), PROTOCOL_ERROR),
    "5.1.1 C17 an even stream": (headers(2), PROTOCOL_ERROR),
    "5.1.1 C17 a lower stream": (headers(5) + headers(3), STREAM_CLOSED),
    "6.1 DATA on stream 0": (data(0), PROTOCOL_ERROR),
    "6.1 B06 padding as long as the payload": (frame(DATA, PADDED, 1, b"\x05abcd"), PROTOCOL_ERROR),
    "6.1 padding without its length": (frame(DATA, PADDED, 1), FRAME_SIZE_ERROR),
    "6.2 HEADERS on stream 0": (headers(0), PROTOCOL_ERROR),
    "6.2 padding larger than the block": (frame(HEADERS, PADDED | END_HEADERS, 3, b"\x09a"), PROTOCOL_ERROR),
    "6.2 HEADERS too short for a priority": (frame(HEADERS, PRIORITIZED | END_HEADERS, 3, b"abc"), FRAME_SIZE_ERROR),
    "6.3 PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), PROTOCOL_ERROR),
    "6.4 RST_STREAM on stream 0": (reset(0), PROTOCOL_ERROR),
    "6.4 RST_STREAM of 3 octets": (frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    "6.5 SETTINGS on a stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "6.5 an acknowledgement with a payload": (frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "6.5 SETTINGS of 5 octets": (frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH of 2": (settings((2, 2)), PROTOCOL_ERROR),
    "6.5.2 a window above 2^31-1": (settings((4, 1 << 31)), FLOW_CONTROL_ERROR),
    "6.5.2 a frame size below 16384": (settings((5, 16383)), PROTOCOL_ERROR),
    "6.5.2 a frame size above 2^24-1": (settings((5, 1 << 24)), PROTOCOL_ERROR),
    "RFC 8441 ENABLE_CONNECT_PROTOCOL of 2": (settings((8, 2)), PROTOCOL_ERROR),
    "RFC 9218 NO_RFC7540_PRIORITIES of 2": (settings((9, 2)), PROTOCOL_ERROR),
    "6.6 PUSH_PROMISE from a client": (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), PROTOCOL_ERROR),
    "6.7 PING on a stream": (frame(PING, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.7 PING of 7 octets": (frame(PING, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "6.8 GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), PROTOCOL_ERROR),
    "6.8 GOAWAY of 7 octets": (frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    "6.9 WINDOW_UPDATE of 3 octets": (frame(WINDOW_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
    "6.9 a connection's window update of nothing": (window_update(0, 0), PROTOCOL_ERROR),
    "6.9.1 E05 a connection's window above 2^31-1": (window_update(0, (1 << 31) - 1), FLOW_CONTROL_ERROR),
    "6.9.2 settings that take a window above 2^31-1": (
        window_update(1, 1 << 30) + settings((4, (1 << 31) - 1)),
        FLOW_CONTROL_ERROR,
    ),
    "6.10 CONTINUATION without HEADERS": (frame(CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR),
    "6.10 CONTINUATION of another stream": (
        frame(HEADERS, END_STREAM, 3, block(GET)) + frame(CONTINUATION, END_HEADERS, 5),
        PROTOCOL_ERROR,
    ),
    "6.10 D16 a frame inside a header block": (frame(HEADERS, END_STREAM, 3, block(GET)) + ping(), PROTOCOL_ERROR),
    "6.10 C04 RST_STREAM inside a header block": (frame(HEADERS, END_STREAM, 3, block(GET)) + reset(3), PROTOCOL_ERROR),
    "6.10 an unknown frame inside a header block": (
        frame(HEADERS, END_STREAM, 3, block(GET)) + frame(0xF0),
        PROTOCOL_ERROR,
    ),
    "4.3 D12 a header block that cannot be decoded": (
        frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\xbe"),
        COMPRESSION_ERROR,
    ),
    "RFC 9218 7.1 PRIORITY_UPDATE of 3 octets": (frame(PRIORITY_UPDATE, 0, 0, bytes(3)), FRAME_SIZE_ERROR),
    "RFC 9218 7.1 PRIORITY_UPDATE for no stream": (frame(PRIORITY_UPDATE, 0, 0, bytes(4)), PROTOCOL_ERROR),
    "RFC 9218 7.1 PRIORITY_UPDATE on a stream": (frame(PRIORITY_UPDATE, 0, 1, bytes(4)), PROTOCOL_ERROR),
    "B04 empty CONTINUATIONs without end": (
        frame(HEADERS, END_STREAM, 3) + frame(CONTINUATION, 0, 3) * 16,
        ENHANCE_YOUR_CALM,
    ),
    "D01 CONTINUATIONs without end": (
        frame(HEADERS, 0, 3, b"\x00\x01a\x7f\xff\xff\x03") + frame(CONTINUATION, 0, 3, bytes(16384)) * 16,
        ENHANCE_YOUR_CALM,
    ),
}


@pytest.mark.parametrize(("wrong", "code"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS.keys())
def test_errors_of_the_connection(wrong: bytes, code: int) -> None:
    """GOAWAY with the code and the last stream that was served, then the end; the application is told."""
    h2 = H2(waits)
    h2.send(OPEN, wrong, headers(101))
    assert h2.goaway == code
    assert h2.reader.goaways[-1][0] in (1, 3, 5)
    assert h2.over
    assert 101 not in h2.reader.answers
    h2.advance(60)
    assert h2.client.closed
    assert not h2.server.runtime.tasks
    assert h2.client.errors == []


# -- errors of one stream

STREAM_ERRORS = {
    "5.1 C13 DATA behind END_STREAM": (headers(3) + data(3, b"x"), STREAM_CLOSED),
    "5.1 C12 HEADERS behind END_STREAM": (headers(3) + headers(3), STREAM_CLOSED),
    "6.3 C10 PRIORITY of 4 octets": (headers(3, POST, end=False) + frame(PRIORITY, 0, 3, bytes(4)), FRAME_SIZE_ERROR),
    "6.9 C08 a window update of nothing": (headers(3, POST, end=False) + window_update(3, 0), PROTOCOL_ERROR),
    "6.9.1 C09 a window above 2^31-1": (
        headers(3, POST, end=False) + window_update(3, (1 << 31) - 1),
        FLOW_CONTROL_ERROR,
    ),
    "6.9.1 E07 more DATA than the window": (
        headers(3, POST, end=False) + data(3, bytes(16384)) * 5,
        FLOW_CONTROL_ERROR,
    ),
    "8.1 F16 trailers that do not end the stream": (
        headers(3, POST, end=False) + headers(3, [(b"a", b"b")], end=False),
        PROTOCOL_ERROR,
    ),
    "8.1 F15 pseudo fields in trailers": (
        headers(3, POST, end=False) + headers(3, [(b":path", b"/")]),
        PROTOCOL_ERROR,
    ),
    "8.1.1 C15 more DATA than content-length": (
        headers(3, [*POST, (b"content-length", b"3")], end=False) + data(3, b"four"),
        PROTOCOL_ERROR,
    ),
    "8.1.1 F13 less DATA than content-length": (
        headers(3, [*POST, (b"content-length", b"3")], end=False) + data(3, b"2", end=True),
        PROTOCOL_ERROR,
    ),
    "8.1.1 F13 a content-length without DATA": (headers(3, [*POST, (b"content-length", b"3")]), PROTOCOL_ERROR),
    "8.3.1 B05 an empty header block": (frame(HEADERS, END_STREAM | END_HEADERS, 3), PROTOCOL_ERROR),
    "D17 a priority and nothing else": (
        frame(HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 3, bytes(5)),
        PROTOCOL_ERROR,
    ),
}


@pytest.mark.parametrize(("wrong", "code"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
def test_errors_of_a_stream(wrong: bytes, code: int) -> None:
    """RST_STREAM with the code; its application is told; the connection and its other streams go on."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/ok":
            await send(start())
            await send(body(b"fine"))
            return
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                seen.append(message)
                return

    h2 = H2(app)
    h2.send(wrong)
    assert h2.answer(3).reset == code
    h2.send(headers(5, [*GET[:2], (b":path", b"/ok"), GET[3]]))
    assert h2.answer(5).body == b"fine"
    assert h2.goaway is None
    h2.advance(1)
    assert not h2.server.runtime.tasks
    assert h2.client.errors == []


# -- what is to be ignored

IGNORED = {
    "4.1 A17 unknown frames": frame(0xF0, 0xFF, 77, b"x" * 100) + frame(0xF0),
    "4.1 unknown flags": frame(HEADERS, END_STREAM | END_HEADERS | 0xC2 & ~8, 1, bytes(0) + block(GET)),
    "5.1 A16 H2-08 RST_STREAM on a closed stream": headers(1) + reset(1) + reset(1),
    "5.1 A15 H2-08 WINDOW_UPDATE on a closed stream": headers(1) + window_update(1, 1),
    "5.1 H2-08 PRIORITY on a closed stream": headers(1) + frame(PRIORITY, 0, 1, bytes(5)),
    "5.3 A12 PRIORITY on an idle stream": frame(PRIORITY, 0, 99, bytes(5)),
    "Q-H2-13 PRIORITY on many streams": b"".join(frame(PRIORITY, 0, n, bytes(5)) for n in range(103, 5103, 2)),
    "5.3.1 C11 a stream that depends on itself": frame(PRIORITY, 0, 3, (3).to_bytes(4, "big") + b"\x10"),
    "6.2 HEADERS with a priority": frame(
        HEADERS, END_STREAM | END_HEADERS | PRIORITIZED, 1, (1).to_bytes(4, "big") + b"\x10" + block(GET)
    ),
    "6.2 HEADERS with padding": frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, b"\x05" + block(GET) + bytes(5)),
    "6.5.2 A04 unknown settings": settings(*((name, 7) for name in range(100, 2800))),
    "6.5.2 A05 a setting many times": settings(*((4, value) for value in range(2700))),
    "6.5 A09 an acknowledgement of nothing": SETTINGS_ACK,
    "6.7 A10 a PING acknowledgement of nothing": ping(ack=True),
    "6.8 GOAWAY with debug data": b"",
    "the reserved bit of a stream": frame(HEADERS, END_STREAM | END_HEADERS, (1 << 31) | 1, block(GET)),
    "the reserved bit of an increment": frame(WINDOW_UPDATE, 0, 0, b"\x80\x00\x00\x01"),
    "RFC 9218 PRIORITY_UPDATE with nonsense": frame(PRIORITY_UPDATE, 0, 0, (3).to_bytes(4, "big") + b"\xff;;=,u=9"),
}


@pytest.mark.parametrize("ignored", IGNORED.values(), ids=IGNORED.keys())
def test_what_is_ignored(ignored: bytes) -> None:
    h2 = H2(Answers())
    h2.send(ignored, headers(101))
    assert h2.answer(101).status == 200
    assert h2.goaway is None
    assert all(answer.reset is None for answer in h2.reader.answers.values())


def test_ping_is_answered_with_its_payload() -> None:
    """Section 6.7."""
    h2 = H2(Answers())
    assert [one[:2] + one[3:] for one in h2.send(ping(b"abcdefgh"))] == [(PING, ACK, b"abcdefgh")]


def test_settings_are_acknowledged_in_turn() -> None:
    h2 = H2(Answers())
    assert [one[:2] for one in h2.send(settings((4, 5)), settings((4, 6)))] == [(SETTINGS, ACK)] * 2


def test_h2_09_good_frames_ahead_of_an_error_are_served() -> None:
    h2 = H2(Answers(start(), body(b"ok")))
    h2.send(headers(1), headers(3), data(0), headers(5))
    assert [h2.answer(stream).body for stream in (1, 3)] == [b"ok", b"ok"]
    assert h2.reader.goaways == [(3, PROTOCOL_ERROR)]
    assert 5 not in h2.reader.answers


def test_c18_the_highest_stream() -> None:
    h2 = H2(Answers())
    h2.send(headers((1 << 31) - 1))
    assert h2.answer((1 << 31) - 1).status == 200
    assert h2.reader.goaways[0] == ((1 << 31) - 1, 0)


def test_d15_a_block_cut_at_every_octet() -> None:
    app = Answers()
    text = block(GET)
    for at in range(len(text)):
        h2 = H2(app)
        h2.send(frame(HEADERS, END_STREAM, 1, text[:at]), frame(CONTINUATION, END_HEADERS, 1, text[at:]))
        assert h2.answer().status == 200
    assert all(scope["headers"] == app.scopes[0]["headers"] for scope in app.scopes)


def test_d03_a_list_that_is_too_large_is_answered_431() -> None:
    h2 = H2(Answers())
    large = [*GET, *((b"x-%d" % number, b"v" * 1000) for number in range(80))]
    text = block(large) + literal(b"kept", b"yes", 0x40)
    pieces = [text[at : at + 16000] for at in range(0, len(text), 16000)]
    h2.send(
        frame(HEADERS, END_STREAM, 1, pieces[0]),
        *(frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:-1]),
        frame(CONTINUATION, END_HEADERS, 1, pieces[-1]),
        frame(HEADERS, END_STREAM | END_HEADERS, 3, block(GET) + b"\xbe"),
    )
    assert h2.answer(1).status == 431
    assert h2.answer(3).status == 200
    assert [entry.status for entry in h2.client.access] == [431, 200]


def test_d05_too_many_fields_are_answered_431() -> None:
    h2 = H2(Answers(), max_header_count=20)
    h2.send(headers(1, [*GET, *((b"a", b"") for _ in range(21))]))
    assert h2.answer().status == 431
    assert h2.alive()


def test_d18_trailers_that_are_too_large() -> None:
    """They have the limits of a head; the table stays in step, and the connection goes on."""
    h2 = H2(Reads(), max_header_count=20)
    h2.send(headers(1, POST, end=False), headers(1, [(b"a", b"")] * 21))
    assert h2.answer(1).reset == PROTOCOL_ERROR
    text = block((b"x-%d" % number, b"v" * 1000) for number in range(80)) + literal(b"kept", b"yes", 0x40)
    pieces = [text[at : at + 16000] for at in range(0, len(text), 16000)]
    h2.send(
        headers(3, POST, end=False),
        frame(HEADERS, END_STREAM, 3, pieces[0]),
        *(frame(CONTINUATION, 0, 3, piece) for piece in pieces[1:-1]),
        frame(CONTINUATION, END_HEADERS, 3, pieces[-1]),
        frame(HEADERS, END_STREAM | END_HEADERS, 5, block(GET) + b"\xbe"),
    )
    assert h2.answer(3).reset == PROTOCOL_ERROR
    assert h2.answer(5).status == 200
    assert h2.client.errors == []


def test_d14_crumbs_of_a_cookie_are_joined() -> None:
    app = Answers()
    h2 = H2(app)
    h2.send(headers(1, [*GET, (b"cookie", b"a=1"), (b"x", b"y"), *((b"cookie", b"b=%d" % n) for n in range(500))]))
    assert app.scopes[0]["headers"][1] == (b"cookie", b"; ".join([b"a=1", *(b"b=%d" % n for n in range(500))]))
    h2.send(headers(3, [*GET, *((b"cookie", b"a=1") for _ in range(4000))][:1700]))
    assert h2.answer(3).status == 431 or h2.goaway is not None


def test_cancel_is_no_error() -> None:
    h2 = H2(waits)
    h2.send(headers(1), reset(1, CANCEL))
    assert h2.alive() is False or h2.goaway is None
