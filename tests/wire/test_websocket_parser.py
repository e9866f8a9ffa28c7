"""The contract of the WebSocket codec, for both twins: which frames are messages, and which end the connection."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import pytest
from tests.wire.websocket_frames import (
    BINARY,
    CLOSE,
    CONTINUATION,
    ERROR,
    HELD,
    MASK,
    MESSAGE,
    NEED_DATA,
    PING,
    PONG,
    TEXT,
    TWINS,
    close,
    frame,
    play,
)

UTF8_GOOD = ["", "a", "κόσμε", "€", "\x00\x7f\x80߿ࠀ￿", "\U00010000\U0010ffff", "퟿", "x" * 200 + "é" * 99]
UTF8_BAD = [
    b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x41", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xe1\x80",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xfe",
    b"a" * 40 + b"\xc3\x28", b"\xf8\x88\x80\x80\x80", b"\xef\xbb", b"a" * 15 + b"\xe2\x82",
]  # fmt: skip


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    """The codec module, one twin after the other."""
    return TWINS[request.param]


def events(twin: ModuleType, *pieces: bytes, **limits: Any) -> list[tuple[Any, ...]]:
    """All events of an input, which must be the same when it comes in one piece and byte by byte."""
    whole = b"".join(pieces)
    found = play(twin.FrameParser(**limits), [whole])
    assert found == play(twin.FrameParser(**limits), [whole[i : i + 1] for i in range(len(whole))])
    return found


def error(twin: ModuleType, *pieces: bytes, **limits: Any) -> int:
    """The close code that an input ends with, after nothing else."""
    (only,) = events(twin, *pieces, **limits)
    assert only[0] == ERROR
    assert only[2]
    return int(only[1])


@pytest.mark.parametrize("size", [0, 1, 3, 4, 15, 16, 17, 63, 64, 65, 125, 126, 127, 4095, 4096, 4097, 65535, 65536])
def test_binary_messages_of_every_length(twin: ModuleType, size: int) -> None:
    data = bytes(i * 7 & 255 for i in range(size))
    raw = frame(BINARY, data)
    parser = twin.FrameParser()
    assert play(parser, [raw]) == [(MESSAGE, data)]
    assert play(parser, [raw[:1], raw[1:5], raw[5:200], raw[200:]]) == [(MESSAGE, data)]
    assert parser.buffered() == 0


def test_nothing_more_is_there(twin: ModuleType) -> None:
    """Asked before anything came, and in the middle of a header: no buffer is there to look at."""
    parser = twin.FrameParser()
    assert parser.next_event() == NEED_DATA
    parser.feed(frame(TEXT, b"hello")[:3])
    assert [parser.next_event() for _ in range(2)] == [NEED_DATA, NEED_DATA]
    parser.feed(frame(TEXT, b"hello")[3:])
    assert parser.next_event() == MESSAGE
    assert parser.message == "hello"


@pytest.mark.parametrize("text", UTF8_GOOD)
def test_text_messages(twin: ModuleType, text: str) -> None:
    assert events(twin, frame(TEXT, text.encode())) == [(MESSAGE, text)]


@pytest.mark.parametrize("raw", UTF8_BAD)
def test_invalid_text_is_1007(twin: ModuleType, raw: bytes) -> None:
    assert error(twin, frame(TEXT, raw)) == 1007
    assert (
        error(twin, *(frame(TEXT if i == 0 else 0, raw[i : i + 1], fin=i == len(raw) - 1) for i in range(len(raw))))
        == 1007
    )


def test_invalid_text_fails_before_its_frame_is_whole(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    assert play(parser, [frame(TEXT, b"ab\xf4\x90", announce=1000)]) == [(ERROR, 1007, "invalid UTF-8")]
    parser = twin.FrameParser()
    assert play(parser, [frame(TEXT, b"ab\xf4", announce=1000)]) == []


def test_ws15_fragments_with_control_frames_between(twin: ModuleType) -> None:
    assert events(
        twin,
        frame(TEXT, b"Hel\xe2", fin=False),
        frame(9, b"ping"),
        frame(CONTINUATION, b"\x82", fin=False),
        frame(10, b"pong"),
        frame(CONTINUATION, b"", fin=False),
        frame(CONTINUATION, b"\xaclo"),
        frame(BINARY, b"", fin=False),
        frame(CONTINUATION, b""),
        frame(TEXT, b"next"),
    ) == [(PING, b"ping"), (PONG, b"pong"), (MESSAGE, "Hel€lo"), (MESSAGE, b""), (MESSAGE, "next")]


@pytest.mark.parametrize("size", [0, 1, 124, 125])
def test_control_frames(twin: ModuleType, size: int) -> None:
    data = bytes(range(size))
    assert events(twin, frame(9, data), frame(10, data)) == [(PING, data), (PONG, data)]


@pytest.mark.parametrize(
    ("raw", "code", "reason"),
    [
        (frame(8), 1005, ""),
        (close(1000), 1000, ""),
        (close(1000, "bye €".encode()), 1000, "bye €"),
        (close(4001, b"x" * 123), 4001, "x" * 123),
        *((close(code), code, "") for code in (1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 4999)),
    ],
)
def test_close(twin: ModuleType, raw: bytes, code: int, reason: str) -> None:
    assert events(twin, raw, close(4000), frame(TEXT, b"late")) == [(CLOSE, code, reason)]


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_close_codes_that_must_not_be_sent(twin: ModuleType, code: int) -> None:
    assert error(twin, close(code)) == 1002
    assert not twin.is_close_code(code)


@pytest.mark.parametrize(
    ("raw", "code"),
    {
        "payload of one byte": (frame(8, b"\x03"), 1002),
        "reason is no UTF-8": (close(1000, b"\xed\xa0\x80"), 1007),
        "unmasked": (frame(TEXT, b"a", mask=None), 1002),
        "unmasked and empty": (frame(TEXT, b"", mask=None), 1002),
        "unmasked control": (frame(9, b"a", mask=None), 1002),
        "RSV1 without compression": (frame(TEXT, b"a", rsv=4), 1002),
        "RSV2": (frame(TEXT, b"a", rsv=2), 1002),
        "RSV3": (frame(BINARY, b"a", rsv=1), 1002),
        "RSV1 of a ping": (frame(9, b"a", rsv=4), 1002),
        "all RSV of a close": (frame(8, b"", rsv=7), 1002),
        **{f"opcode {code}": (frame(code, b""), 1002) for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
        "long ping": (frame(9, b"a" * 126), 1002),
        "long close": (frame(8, b"a" * 126), 1002),
        "fragmented ping": (frame(9, b"a", fin=False), 1002),
        "continuation of nothing": (frame(CONTINUATION, b"a"), 1002),
        "continuation of nothing, not final": (frame(CONTINUATION, b"a", fin=False), 1002),
        "text inside a message": (frame(TEXT, b"", fin=False) + frame(TEXT, b"b"), 1002),
        "binary inside a message": (frame(TEXT, b"", fin=False) + frame(BINARY, b"b", fin=False), 1002),
        "length of 125 in two bytes": (frame(BINARY, b"a" * 125, width=2), 1002),
        "length of 0 in eight bytes": (frame(BINARY, b"", width=8), 1002),
        "length of 65535 in eight bytes": (frame(BINARY, b"", announce=65535, width=8), 1002),
        "length with the top bit": (frame(BINARY, b"", announce=1 << 63), 1002),
    }.values(),
)
def test_ws15_what_ends_the_connection(twin: ModuleType, raw: bytes, code: int) -> None:
    assert error(twin, raw) == code


def test_nothing_is_read_after_an_error(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    assert play(parser, [frame(3) + frame(TEXT, b"a")])[0][0] == ERROR
    assert play(parser, [frame(TEXT, b"b")]) == []
    assert parser.buffered() == 0


def test_limits_are_held_against_what_is_announced(twin: ModuleType) -> None:
    assert error(twin, frame(BINARY, b"", announce=11), max_message_size=10) == 1009
    assert error(twin, frame(BINARY, b"", announce=11), max_frame_size=10) == 1009
    assert error(twin, frame(BINARY, b"", announce=(1 << 63) - 1), max_message_size=10) == 1009


def test_lengths_that_no_memory_holds(twin: ModuleType) -> None:
    """Without a limit a message ends below 2^62 bytes, which sums of lengths cannot wrap around."""
    assert error(twin, frame(BINARY, b"", announce=1 << 62)) == 1009
    assert error(twin, frame(BINARY, b"", announce=(1 << 63) - 1)) == 1009
    assert events(twin, frame(BINARY, b"", announce=(1 << 62) - 1)) == []
    assert error(twin, frame(BINARY, b"x", fin=False), frame(CONTINUATION, b"", announce=(1 << 62) - 1)) == 1009


def test_the_last_message_is_forgotten(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    parser.feed(frame(BINARY, bytes(100_000)))
    assert parser.next_event() == MESSAGE
    assert len(parser.message) == 100_000
    assert parser.next_event() == NEED_DATA
    assert parser.message == b""
    assert events(twin, frame(BINARY, b"a" * 10), max_message_size=10, max_frame_size=10) == [(MESSAGE, b"a" * 10)]


def test_the_limit_is_of_the_whole_message_and_in_bytes(twin: ModuleType) -> None:
    pieces = [frame(TEXT, b"\xc3\xa9\xc3\xa9", fin=False), frame(CONTINUATION, b"\xc3\xa9\xc3\xa9", fin=False)]
    assert error(twin, *pieces, frame(CONTINUATION, b"aaa"), max_message_size=10) == 1009
    assert events(twin, *pieces, frame(CONTINUATION, b"aa"), max_message_size=10) == [(MESSAGE, "ééééaa")]
    assert events(twin, *[frame(TEXT, b"12345678")] * 3, max_message_size=10) == [(MESSAGE, "12345678")] * 3


def test_memory_grows_with_what_has_arrived_only(twin: ModuleType) -> None:
    """CVE-2026-54274: a large frame announced, then dribbled."""
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        parser = twin.FrameParser(max_message_size=1 << 40)
        play(parser, [frame(BINARY, b"a" * 100, announce=1 << 36)])
        for _ in range(1000):
            parser.feed(b"b")
            assert parser.next_event() == NEED_DATA
        assert tracemalloc.get_traced_memory()[1] < 800_000
    finally:
        tracemalloc.stop()


def test_a_frame_of_one_megabyte_byte_by_byte(twin: ModuleType) -> None:
    raw = frame(BINARY, b"a" * 1_000_000)
    parser = twin.FrameParser()
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        parser.feed(raw[:14])
        end = 200_000 if twin is not TWINS["pure"] else 50_000
        for i in range(14, end):
            parser.feed(raw[i : i + 1])
            assert parser.next_event() == NEED_DATA
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert play(parser, [raw[end:]]) == [(MESSAGE, b"a" * 1_000_000)]


def test_ws17_a_million_fragments_of_a_byte(twin: ModuleType) -> None:
    """Linear: ten times the fragments take about ten times as long."""

    def spent(count: int, opcode: int) -> float:
        raw = (
            frame(opcode, b"a", fin=False)
            + frame(CONTINUATION, b"a", fin=False) * (count - 2)
            + frame(CONTINUATION, b"a")
        )
        parser = twin.FrameParser(max_message_size=count)
        start = time.process_time()
        found = play(parser, [raw[i : i + 65536] for i in range(0, len(raw), 65536)])
        taken = time.process_time() - start
        assert [len(event[1]) for event in found] == [count]
        return taken

    many = 1_000_000 if twin is not TWINS["pure"] else 200_000
    for opcode in (TEXT, BINARY):
        assert spent(many, opcode) < 30 * max(spent(many // 10, opcode), 0.002)


def test_a_million_empty_fragments_cost_no_memory(twin: ModuleType) -> None:
    parser = twin.FrameParser(max_message_size=100)
    play(parser, [frame(TEXT, b"", fin=False)])
    piece = frame(CONTINUATION, b"", fin=False) * 10_000
    rounds = 100 if twin is not TWINS["pure"] else 5
    play(parser, [piece])
    tracemalloc = pytest.importorskip("tracemalloc")
    tracemalloc.start()
    try:
        for _ in range(rounds):
            assert play(parser, [piece]) == []
        assert tracemalloc.get_traced_memory()[1] < 800_000
    finally:
        tracemalloc.stop()


def test_hold_lets_control_frames_through(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    parser.hold = True
    raw = frame(9, b"1") + frame(TEXT, b"a") + frame(9, b"2") + frame(TEXT, b"b")
    assert play(parser, [raw]) == [(PING, b"1"), (HELD,)]
    assert parser.next_event() == HELD
    assert parser.buffered() == len(raw) - len(frame(9, b"1"))
    parser.feed(frame(10, b"3"))
    parser.hold = False
    assert play(parser, [b""]) == [(MESSAGE, "a"), (PING, b"2"), (MESSAGE, "b"), (PONG, b"3")]


def test_hold_stops_between_fragments_but_not_inside_a_frame(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    raw = frame(TEXT, b"abc", fin=False)
    assert play(parser, [raw[:8]]) == []
    parser.hold = True
    assert play(parser, [raw[8:], frame(9), frame(CONTINUATION, b"d")]) == [(PING, b""), (HELD,)]
    parser.hold = False
    assert play(parser, [b""]) == [(MESSAGE, "abcd")]


def test_hold_on_a_header_that_was_cut(twin: ModuleType) -> None:
    parser = twin.FrameParser()
    raw = frame(TEXT, b"abc")
    assert play(parser, [raw[:1]]) == []
    parser.hold = True
    assert play(parser, [raw[1:]]) == [(HELD,)]
    parser.hold = False
    assert play(parser, [b""]) == [(MESSAGE, "abc")]


def test_feed_takes_bytes_alone(twin: ModuleType) -> None:
    for wrong in ("a", bytearray(b"a"), memoryview(b"a"), None):
        with pytest.raises(TypeError):
            twin.FrameParser().feed(wrong)


class Inflater:
    """Stands in for RFC 7692."""

    def __init__(self, result: Any) -> None:
        self.result = result
        self.calls: list[tuple[bytes, int]] = []

    def inflate(self, data: bytes, limit: int) -> bytes:
        self.calls.append((data, limit))
        if isinstance(self.result, Exception):
            raise self.result
        return bytes(self.result)


def test_compressed_messages_go_through_the_inflater(twin: ModuleType) -> None:
    inflater = Inflater("plain é".encode())
    limits: dict[str, Any] = {"inflater": inflater, "max_message_size": 100}
    assert events(twin, frame(TEXT, b"abc", rsv=4), **limits) == [(MESSAGE, "plain é")]
    assert inflater.calls == [(b"abc", 100)] * 2
    raw = [frame(BINARY, b"ab", fin=False, rsv=4), frame(9, b"p"), frame(CONTINUATION, b"c"), frame(BINARY, b"plain")]
    assert events(twin, *raw, **limits) == [(PING, b"p"), (MESSAGE, "plain é".encode()), (MESSAGE, b"plain")]
    assert inflater.calls == [(b"abc", 100)] * 4


def test_rsv1_belongs_to_the_first_frame_of_a_message(twin: ModuleType) -> None:
    inflater = Inflater(b"")
    assert error(twin, frame(TEXT, b"", fin=False, rsv=4), frame(CONTINUATION, b"", rsv=4), inflater=inflater) == 1002
    assert error(twin, frame(9, b"", rsv=4), inflater=inflater) == 1002
    assert error(twin, frame(TEXT, b"", rsv=6), inflater=inflater) == 1002


def test_what_the_inflater_refuses(twin: ModuleType) -> None:
    from hypercorn.wire.frames import InflateError, MessageTooLarge

    assert error(twin, frame(TEXT, b"a", rsv=4), inflater=Inflater(MessageTooLarge())) == 1009
    assert error(twin, frame(TEXT, b"a", rsv=4), inflater=Inflater(InflateError())) == 1007
    assert error(twin, frame(TEXT, b"a", rsv=4), inflater=Inflater(b"\xff")) == 1007
    assert events(twin, frame(BINARY, b"a", rsv=4), inflater=Inflater(b"\xff")) == [(MESSAGE, b"\xff")]


@pytest.mark.parametrize("mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", MASK, b"\x01\x02\x03\x04"])
def test_masks_at_every_offset(twin: ModuleType, mask: bytes) -> None:
    data = bytes(range(256))
    raw = frame(BINARY, data, mask=mask)
    for first in range(8, 40):
        for second in range(first, 120, 7):
            assert play(twin.FrameParser(), [raw[:first], raw[first:second], raw[second:]]) == [(MESSAGE, data)]
