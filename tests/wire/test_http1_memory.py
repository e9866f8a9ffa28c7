"""What the codec remembers changes nothing but the time: the same verdicts, fresh lists, bounded memory."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from tests.wire.cases import Case, load
from tests.wire.play import bytewise, cut, play

SLOTS = 64  # sections of field lines in one memory
FIELDS = b"Host: a\r\nUser-Agent: x y\r\nX-B: 1\r\nx-b: 2\r\n\r\n"
GET = b"GET / HTTP/1.1\r\n" + FIELDS
POST = b"POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n"
REPEATED = [case for case in load() if case.accept and case.layer == "parser" and case.close is False]


def both(twin: ModuleType, pieces: list[bytes], memory: Any, **limits: Any) -> Any:
    """The record of an input, which has to be the same with the memory and without."""
    record = play(twin.RequestParser(memory=memory, **limits), pieces)
    assert record == play(twin.RequestParser(**limits), pieces)
    return record


@pytest.mark.parametrize("case", REPEATED, ids=lambda case: case.id)
def test_the_same_again_is_read_the_same(twin: ModuleType, case: Case) -> None:
    memory = twin.FieldMemory()
    both(twin, [case.raw] * 4, memory)
    both(twin, [case.raw * 4], memory)


@pytest.mark.parametrize("raw", [GET, POST, CHUNKED], ids=["get", "post", "chunked"])
def test_cut_anywhere(twin: ModuleType, raw: bytes) -> None:
    memory = twin.FieldMemory()
    both(twin, [raw] * 3, memory)
    both(twin, [raw, raw, raw, *bytewise(raw), raw], memory)
    for place in range(len(raw)):
        both(twin, [raw, raw, raw, *cut(raw, [place]), raw, raw[:place]], memory)


def test_a_byte_makes_another_request(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    for place in range(GET.index(b"User"), len(GET)):
        for byte in (b"\x00", b"\r", b"\n", b":", b"z", b" "):
            other = GET[:place] + byte + GET[place + 1 :]
            both(twin, [GET, GET, GET, other], memory)


def test_other_lines_of_the_same_connection(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    heads = [GET, GET.replace(b"x y", b"z"), POST, GET.replace(b"GET / ", b"HEAD /a%20b?c "), CHUNKED]
    both(twin, [heads[n**3 % len(heads)] for n in range(60)], memory)
    assert 1 <= len(memory) <= 3  # where two keys want one place, it holds one


def test_each_request_has_a_list_of_its_own(twin: ModuleType) -> None:
    parser = twin.RequestParser(memory=twin.FieldMemory())
    for _ in range(5):
        parser.feed(GET)
        assert parser.next_event() == twin.HEAD
        headers = parser.headers
        assert headers == [(b"host", b"a"), (b"user-agent", b"x y"), (b"x-b", b"1"), (b"x-b", b"2")]
        headers.reverse()  # as an application may do
        headers.append((b"x", b"y"))


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        (b"GET / HTTP/1.0\r\nX: y\r\nConnection: keep-alive\r\n\r\n", (b"/1.0", b"/1.1")),  # no Host
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nb", (b"POST", b"TRACE")),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", (b"http://a/", b"http://b/")),
    ],
    ids=["host", "trace", "authority"],
)
def test_rules_of_the_whole_head_still_hold(twin: ModuleType, kept: bytes, refused: tuple[bytes, bytes]) -> None:
    record = both(twin, [kept] * 4 + [kept.replace(*refused, 1)], twin.FieldMemory())
    assert len(record.messages) == 4
    assert record.refusal is not None


def test_a_byte_makes_another_request_line(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    line = b"GET http://a/b%20c?d HTTP/1.1"
    raw = line + b"\r\n" + FIELDS
    for place in range(len(line) + 2):
        for byte in (b"\x00", b"\r", b"\n", b"%", b"z", b" ", b"0"):
            other = raw[:place] + byte + raw[place + 1 :]
            both(twin, [raw, raw, raw, other], memory)
            both(twin, [raw, raw, raw, raw + other], memory)


def test_other_limits_are_kept(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    size = len(FIELDS) - 2
    for limits in (
        {},
        {"max_header_count": 4},
        {"max_header_count": 3},
        {"max_header_size": size},
        {"max_header_size": size - 1},
        {"keep_case": True},
        {"keep_case": False},
    ):
        both(twin, [GET] * 3, memory, **limits)


def test_a_memory_is_bounded(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    for number in range(20 * SLOTS):
        raw = b"GET / HTTP/1.1\r\nHost: a\r\nX-Number: %d\r\n\r\n" % number
        both(twin, [raw] * 3, memory)
        assert len(memory) <= SLOTS
    assert len(memory) == SLOTS


def test_long_sections_are_not_kept(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    both(twin, [b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 2048)] * 4, memory)
    assert len(memory) == 0


def test_a_section_is_kept_when_it_comes_again(twin: ModuleType) -> None:
    memory = twin.FieldMemory()
    play(twin.RequestParser(memory=memory), [GET])
    assert len(memory) == 0
    play(twin.RequestParser(memory=memory), [GET])
    assert len(memory) == 1


# -- response fields


def test_fields_changed_in_place(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    fields = [(b"a", b"1"), (b"content-length", b"5"), (b"b", b"2")]
    for _ in range(3):
        assert encoder.encode(fields) == b"a: 1\r\ncontent-length: 5\r\nb: 2\r\n"
        assert encoder.content_length == 5
    fields[0] = (b"a", b"3")
    assert encoder.encode(fields) == b"a: 3\r\ncontent-length: 5\r\nb: 2\r\n"
    fields[0], fields[2] = fields[2], fields[0]
    assert encoder.encode(fields) == b"b: 2\r\ncontent-length: 5\r\na: 3\r\n"
    del fields[1]
    assert encoder.encode(fields) == b"b: 2\r\na: 3\r\n"
    assert encoder.content_length == -1
    fields.append((b"c\n", b"2"))
    with pytest.raises(ValueError, match="Invalid name"):
        encoder.encode(fields)
    fields[-1] = (b"c", "2")  # type: ignore[assignment]
    with pytest.raises(TypeError):
        encoder.encode(fields)
    fields[-1] = (b"c", b"2", b"3")  # type: ignore[assignment]
    with pytest.raises(TypeError):
        encoder.encode(fields)
    assert encoder.encode(tuple(fields[:2])) == b"b: 2\r\na: 3\r\n"
    assert encoder.encode(iter(fields[:2])) == b"b: 2\r\na: 3\r\n"
    assert encoder.encode([list(pair) for pair in fields[:2]]) == b"b: 2\r\na: 3\r\n"


def test_what_fields_said_comes_again_with_them(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    one = [(b"date", b"x"), (b"server", b"y"), (b"connection", b"close"), (b"content-length", b"5")]
    for _ in range(3):
        assert encoder.encode(list(one)) == b"date: x\r\nserver: y\r\ncontent-length: 5\r\n"
        assert (encoder.has_date, encoder.has_server, encoder.close, encoder.content_length) == (True, True, True, 5)
        assert encoder.encode(list(one), True) == b"date: x\r\nserver: y\r\n"
        assert encoder.content_length == 5
        assert encoder.encode([(b"a", b"5")]) == b"a: 5\r\n"
        assert (encoder.has_date, encoder.has_server, encoder.close, encoder.content_length) == (
            False,
            False,
            False,
            -1,
        )


def test_fields_of_other_kinds_of_bytes(twin: ModuleType) -> None:
    class Bytes(bytes):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = bytes.__hash__

    encoder = twin.FieldEncoder()
    for value in (b"1", b"2", b"1", b"3"):
        assert encoder.encode([(Bytes(b"a"), Bytes(value))]) == b"a: %b\r\n" % value


def test_many_different_fields(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    for number in range(2000):
        value = b"%d" % (number * 7919 % 1000)
        assert encoder.encode([(b"etag", value), (b"x", b"y")]) == b"etag: %b\r\nx: y\r\n" % value
        assert encoder.encode([(b"x", b"y")] * (number % 40)) == b"x: y\r\n" * (number % 40)
