"""What the codec writes, over both twins."""

from __future__ import annotations

from array import array
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.twins import TWINS

from hypercorn.wire.tables import STATUS_LINES

FIXTURE = HealthCheck.function_scoped_fixture
SETTINGS = settings(deadline=None, derandomize=True, suppress_health_check=[FIXTURE])


def learned(encoder: Any) -> tuple[bool, bool, bool, int]:
    return encoder.has_date, encoder.has_server, encoder.close, encoder.content_length


def test_fields_keep_order_and_case(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    assert encoder.encode([(b"X-b", b"1"), (b"x-A", b""), (b"X-b", b"2")]) == b"X-b: 1\r\nx-A: \r\nX-b: 2\r\n"
    assert encoder.encode([]) == b""
    assert encoder.encode(iter([(b"a", b"b")])) == b"a: b\r\n"
    assert encoder.encode([[b"a", b"b"]]) == b"a: b\r\n"
    assert encoder.encode([(b" a\t", b"\t b c ")]) == b"a: b c\r\n"
    assert encoder.encode([(b"a", b"\tb\x80\xff\tc")]) == b"a: b\x80\xff\tc\r\n"


def test_what_the_server_has_to_know(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    fields = [(b"Date", b"x"), (b"SERVER", b"y"), (b"Connection", b"a, CLOSE"), (b"content-Length", b"5")]
    assert encoder.encode(fields) == b"Date: x\r\nSERVER: y\r\ncontent-Length: 5\r\n"
    assert learned(encoder) == (True, True, True, 5)
    assert encoder.encode(fields, omit_length=True) == b"Date: x\r\nSERVER: y\r\n"
    assert encoder.content_length == 5
    assert encoder.encode([(b"connection", b"keep-alive"), (b"Transfer-Encoding", b"chunked")]) == b""
    assert learned(encoder) == (False, False, False, -1)


def test_equal_lengths_are_written_once(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    assert encoder.encode([(b"content-length", b"05"), (b"content-length", b"5")]) == b"content-length: 05\r\n"
    assert encoder.content_length == 5


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1_0", b"5, 5", b"9223372036854775808", b"\xb2", b"1" * 5000])
def test_lengths_that_are_none(twin: ModuleType, value: bytes) -> None:
    with pytest.raises(ValueError, match="Invalid content-length"):
        twin.FieldEncoder().encode([(b"content-length", value)])


def test_a_length_that_is_none_is_named_without_its_blanks(twin: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"Invalid content-length: b'5 x'$"):
        twin.FieldEncoder().encode([(b"content-length", b"\t5 x ")])


def test_lengths_that_differ(twin: ModuleType) -> None:
    for omit in (False, True):
        with pytest.raises(ValueError, match="differ"):
            twin.FieldEncoder().encode([(b"content-length", b"5"), (b"Content-Length", b"6")], omit)


def test_the_largest_length(twin: ModuleType) -> None:
    encoder = twin.FieldEncoder()
    encoder.encode([(b"content-length", b"0" * 5000 + b"9223372036854775807")])
    assert encoder.content_length == 2**63 - 1


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_other_kinds_of_bytes(twin: ModuleType, kind: Any) -> None:
    """They give the same as bytes, also where the same object holds others by then."""
    encoder = twin.FieldEncoder()
    data = bytearray(b"1")
    for value in (b"1", b"2"):
        data[:] = value
        assert encoder.encode([(kind(b" A "), b"b"), (b"c", kind(data))]) == b"A: b\r\nc: %b\r\n" % value
        assert encoder.encode([[kind(b"Content-Length"), kind(data)], (b"Connection", kind(b"close"))]) == (
            b"Content-Length: %b\r\n" % value
        )
        assert learned(encoder) == (False, False, True, int(value))
    assert encoder.encode([(b"a", memoryview(b"a-b-c")[::2])]) == b"a: abc\r\n"


@pytest.mark.parametrize(
    ("item", "error", "message"),
    [
        (("a", b"b"), TypeError, "The name of header 1 is not bytes, but str"),
        ((b"a", "b"), TypeError, "The value of header 1 is not bytes, but str"),
        ((b"a", None), TypeError, "The value of header 1 is not bytes, but NoneType"),
        ((b"a", array("b", b"b")), TypeError, "The value of header 1 is not bytes, but array"),
        ((b"a",), TypeError, "Header 1 is not a pair"),
        ((b"a", b"b", b"c"), TypeError, "Header 1 is not a pair"),
        (b"ab", TypeError, "Header 1 is not a pair"),
        (None, TypeError, "Header 1 is not a pair"),
        ((b"", b"b"), ValueError, "Invalid name of header 1"),
        ((b" ", b"b"), ValueError, "Invalid name of header 1"),
        ((b"a b", b"c"), ValueError, "Invalid name of header 1"),
        ((b"a:", b"c"), ValueError, "Invalid name of header 1"),
        ((b"a\r\n", b"c"), ValueError, "Invalid name of header 1"),
        ((b"\xe9", b"c"), ValueError, "Invalid name of header 1"),
        ((b":status", b"200"), ValueError, "Pseudo headers are not valid"),
        ((b"a", b"b\r\nc: d"), ValueError, "Invalid value of header b'a'"),
        ((b"a", b"b\r\n"), ValueError, "Invalid value of header b'a'"),
        ((b"a", b"\x00"), ValueError, "Invalid value of header b'a'"),
        ((b"a", b"b\x7f"), ValueError, "Invalid value of header b'a'"),
        ((b"connection", b"close\r\n"), ValueError, "Invalid value of header b'connection'"),
    ],
)
def test_what_is_no_header(twin: ModuleType, item: Any, error: type[Exception], message: str) -> None:
    encoder = twin.FieldEncoder()
    with pytest.raises(error, match=message):
        encoder.encode([(b"x", b"y"), item])
    assert encoder.encode([(b"a", b"b")]) == b"a: b\r\n"


def test_headers_are_iterable(twin: ModuleType) -> None:
    with pytest.raises(TypeError):
        twin.FieldEncoder().encode(5)

    def broken() -> Any:
        yield b"a", b"b"
        raise LookupError

    with pytest.raises(LookupError):
        twin.FieldEncoder().encode(broken())


def test_large_headers(twin: ModuleType) -> None:
    fields = [(b"x" * 1000, b"y" * 100_000), (b"z", b"")] * 20
    encoder = twin.FieldEncoder()
    expected = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    assert encoder.encode(fields) == expected
    assert encoder.encode(fields) == expected


def test_the_first_field_that_is_wrong_is_named(twin: ModuleType) -> None:
    with pytest.raises(ValueError, match="Invalid content-length: b''"):
        twin.FieldEncoder().encode([(b"content-length", b""), (b"", b"")])
    with pytest.raises(ValueError, match="name of header 0"):
        twin.FieldEncoder().encode([(b"", b""), (b"content-length", b"")])


@SETTINGS
@given(
    st.lists(
        st.tuples(
            st.binary(max_size=4) | st.sampled_from([b"Connection", b"content-length", b"date", b"X-A"]),
            st.one_of(st.binary(max_size=6), st.sampled_from([b"close", b"5", b" 05\t", b"a, close"])),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_the_twins_write_the_same(headers: list[tuple[bytes, bytes]], omit: bool) -> None:
    outcomes: list[Any] = []
    for module in TWINS.values():
        encoder = module.FieldEncoder()
        try:
            made = encoder.encode(headers, omit)
        except ValueError as error:
            outcomes.append(str(error))
        else:
            outcomes.append((made, encoder.content_length, encoder.close, encoder.has_date, encoder.has_server))
    assert all(outcome == outcomes[0] for outcome in outcomes)


@pytest.mark.parametrize("size", [1, 9, 10, 15, 16, 17, 255, 256, 4095, 4096, 65536, 1 << 20])
def test_chunks(twin: ModuleType, size: int) -> None:
    data = b"x" * size
    assert twin.encode_chunk(data) == b"%x\r\n" % size + data + b"\r\n"
    assert twin.encode_chunk(data, True) == b"%x\r\n" % size + data + b"\r\n0\r\n\r\n"


def test_no_data_makes_no_chunk(twin: ModuleType) -> None:
    assert twin.encode_chunk(b"") == b""
    assert twin.encode_chunk(b"", last=True) == b"0\r\n\r\n"
    assert twin.encode_last_chunk(b"") == b"0\r\n\r\n"
    assert twin.encode_last_chunk(b"A: b\r\n") == b"0\r\nA: b\r\n\r\n"
    for wrong in (None, "a", bytearray(b"a")):
        with pytest.raises(TypeError):
            twin.encode_chunk(wrong)


def test_a_response_is_joined(twin: ModuleType) -> None:
    parts = (STATUS_LINES[200], b"a: b\r\n", b"date: x\r\n", b"content-length: 4\r\n", b"\r\n", b"body")
    assert twin.encode_response(*parts) == b"HTTP/1.1 200 OK\r\na: b\r\ndate: x\r\ncontent-length: 4\r\n\r\nbody"
    assert twin.encode_response(*[b""] * 6) == b""
    for place in range(6):
        with pytest.raises(TypeError):
            twin.encode_response(*parts[:place], None, *parts[place + 1 :])


def test_status_lines() -> None:
    lines = STATUS_LINES
    assert len(lines) == 1000
    assert lines[404] == b"HTTP/1.1 404 Not Found\r\n"
    assert lines[299] == b"HTTP/1.1 299 \r\n"
    assert lines[799] == b"HTTP/1.1 799 \r\n"
    assert all(line == line.strip() + b"\r\n" or line[-3:-2] == b" " for line in lines)


@SETTINGS
@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.lists(st.integers(0, 400), max_size=4))
def test_what_was_written_can_be_read(twin: ModuleType, pieces: list[bytes], places: list[int]) -> None:
    from tests.wire.play import cut, play
    from tests.wire.test_http1_parser import CHUNKED

    trailer = twin.FieldEncoder().encode([(b"X-T", b"v")])
    raw = CHUNKED + b"".join(map(twin.encode_chunk, pieces)) + twin.encode_last_chunk(trailer)
    (message,) = play(twin.RequestParser(), cut(raw, places)).complete
    assert message.body == b"".join(pieces)
    assert message.trailers == [(b"x-t", b"v")]


class Nested(list[Any]):
    """Fields, or a field, whose iteration encodes others."""

    def __init__(self, encoder: Any, items: Any) -> None:
        super().__init__(items)
        self.encoder = encoder

    def __iter__(self) -> Any:
        self.encoder.encode([(b"server", b"x" * 100_000), (b"connection", b"close"), (b"content-length", b"9")])
        return super().__iter__()


def test_code_of_an_application_that_encodes_other_fields(twin: ModuleType) -> None:
    """An iterator, or a subclass of list, may call the encoder once more."""
    encoder = twin.FieldEncoder()

    def fields() -> Any:
        for number in range(300):
            if number % 7 == 0:
                encoder.encode([(b"date", b"x" * 1000 * number), (b"connection", b"close")])
            yield b"a%d" % number, b"b" * number

    wanted = b"".join(b"a%d: %b\r\n" % (number, b"b" * number) for number in range(300))
    assert encoder.encode(fields()) == wanted
    assert learned(encoder) == (False, False, False, -1)
    assert encoder.encode([Nested(encoder, (b"a", b"b")) for _ in range(100)]) == b"a: b\r\n" * 100
    assert learned(encoder) == (False, False, False, -1)
    assert encoder.encode(Nested(encoder, [(b"a", b"b"), (b"c", b"d")])) == b"a: b\r\nc: d\r\n"
    assert learned(encoder) == (False, False, False, -1)
