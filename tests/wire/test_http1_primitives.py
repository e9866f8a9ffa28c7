"""The functions under the HTTP/1.1 codec that exist twice: each beside its twin, and with positions that are none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.twins import TWINS

from hypercorn.wire import tables
from hypercorn.wire.tables import END, ERRORS, MORE

FAR = min(1 << 40, sys.maxsize >> 1)
HEAD = b"GET http://a/b%20c?d HTTP/1.1\r\n"
FIELDS = b"Host: a\r\nX-Y:\t z \r\ncontent-length:5\r\nConnection: close, Upgrade\r\n\r\n"
FACTS = ("method", "raw_target", "raw_path", "path", "query_string", "http_version", "minor", "authority", "https")
OCTETS = st.one_of(st.binary(max_size=40), st.text('aZ0:/?#%2.,-[]; \t\r\n"=x', max_size=40).map(str.encode))


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def facts(head: Any) -> list[Any]:
    return [getattr(head, name) for name in FACTS]


def read_fields(twin: ModuleType, data: Any, start: int, each: bool = False, most: int = 100) -> tuple[list[int], Any]:
    """What `field_lines` says until it says no more, and the head that it wrote."""
    head = twin.HeadLines()
    kinds = []
    while not kinds or kinds[-1] > END:
        kinds.append(twin.field_lines(data, start, 200, most, False, each, head))
        start = head.end
    return kinds, head


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_a_request_line(twin: ModuleType, kind: Callable[[bytes], Any]) -> None:
    head = twin.HeadLines()
    assert twin.request_line(kind(b"xx" + HEAD + b"Host"), 2, 100, head) == len(HEAD)
    assert facts(head) == ["GET", b"http://a/b%20c?d", b"/b%20c", "/b c", b"d", "1.1", 1, b"a", False]


def test_a_request_line_that_comes_in_pieces(twin: ModuleType) -> None:
    head = twin.HeadLines()
    for size in range(len(HEAD)):
        assert twin.request_line(HEAD[:size], 0, 100, head) == 0
        assert head.method == ("GET" if size > 3 else "")
    assert twin.request_line(HEAD, 0, 100, head) == len(HEAD)
    assert facts(head)[:2] == ["GET", b"http://a/b%20c?d"]


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_field_lines(twin: ModuleType, kind: Callable[[bytes], Any]) -> None:
    kinds, head = read_fields(twin, kind(b"x" + FIELDS + b"rest"), 1)
    assert kinds == [tables.HOST, tables.CONTENT_LENGTH, tables.CONNECTION, END]
    assert head.end == 1 + len(FIELDS)
    assert (head.section_size, head.count) == (len(FIELDS) - 2, 4)
    names = [b"host", b"x-y", b"content-length", b"connection"]
    assert head.fields == list(zip(names, [b"a", b"z", b"5", b"close, Upgrade"], strict=True))
    assert read_fields(twin, FIELDS, 0, each=True)[0] == [tables.OTHER] * 4 + [END]
    assert read_fields(twin, FIELDS, 0, most=3)[0][-1] == -tables.E_COUNT
    assert read_fields(twin, FIELDS[:-1], 0)[0][-1] == MORE


@given(OCTETS, OCTETS, st.integers(0, 60))
def test_lines_are_judged_alike(octets: bytes, before: bytes, limit: int) -> None:
    for data in (before + octets, before + b"GET " + octets, before + b"GET /%b HTTP/1.1\r\n" % octets):
        said = []
        for twin in TWINS.values():
            head = twin.HeadLines()
            verdict = twin.request_line(data, len(before), limit, head)
            said.append((verdict, head.scanned, facts(head) if verdict > 0 else facts(head)[:2]))
        assert said[1:] == said[:-1]
    for data in (octets, b"a:" + octets + b"\r\n" + octets, b"Host:%b\r\n\r\n" % octets):
        for each in (False, True):
            found = [read_fields(twin, before + data, len(before), each, 3) for twin in TWINS.values()]
            shown = [(kinds, h.fields, h.end, h.count, h.section_size, h.scanned) for kinds, h in found]
            assert shown[1:] == shown[:-1]


@given(OCTETS, OCTETS)
def test_values_are_judged_alike(value: bytes, other: bytes) -> None:
    for name, arguments in (
        ("is_token", (value,)),
        ("valid_authority", (value,)),
        ("same_authority", (value, other, False)),
        ("same_authority", (value, value + b":443", True)),
        ("connection_options", (value,)),
        ("content_length", (value,)),
        ("decimal", (value,)),
        ("judge_codings", ([value, other],)),
        ("judge_codings", ([value],)),
        ("field_kind", (value, other)),
        ("field_kind", (b"date", other)),
        ("empty_lines", (value, 0, 4)),
        ("stands_at", (value, len(value) // 2, other)),
        ("encode_chunk", (value, True)),
    ):
        said = {getattr(twin, name)(*arguments) for twin in TWINS.values()}
        assert len(said) == 1, name


@pytest.mark.parametrize(("values", "verdict"), [
    ([b"chunked"], 0), ([b"gzip, chunked"], 501), ([b"chunked", b"chunked"], 400), ([b"gzip"], 400), ([b""], 400),
    ([b"chunked", b""], 400), ([b", Chunked ,"], 0), ([b"x"], 501),
])  # fmt: skip
def test_codings(twin: ModuleType, values: list[bytes], verdict: int) -> None:
    """RFC 9112 section 6.1."""
    assert ERRORS[twin.judge_codings(values)][0] == verdict


def test_chunks(twin: ModuleType) -> None:
    chunks = twin.Chunks()
    assert chunks.read(b"xx3\r\nabc\r\n2;a=b\r\nd", 2) == b"abcd"
    assert (chunks.end, chunks.last, chunks.error) == (18, False, 0)
    assert chunks.read(bytearray(b"e\r\n0\r\n\r\n"), 0) == b"e"
    assert (chunks.end, chunks.last, chunks.error) == (6, True, 0)
    chunks = twin.Chunks()
    assert chunks.read(b"1\r\nax", 0) == b"a"
    assert ERRORS[chunks.error][0] == 400


@given(st.lists(OCTETS, max_size=4), OCTETS)
def test_chunks_are_read_alike(pieces: list[bytes], more: bytes) -> None:
    """In one piece: what is left of an incomplete line differs, as only one twin comes back to its beginning."""
    data = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + more
    said = []
    for twin in TWINS.values():
        chunks = twin.Chunks()
        said.append((chunks.read(data, 0), chunks.last, chunks.error))
    assert said[1:] == said[:-1]


def test_a_field_is_written(twin: ModuleType) -> None:
    out = twin.Octets()
    twin.write_field(out, b" A\t", b" b c ")
    twin.write_field(out, b"", b"")
    assert out.take() == b"A: b c\r\n: \r\n"


@given(OCTETS, OCTETS)
def test_a_key_is_that_of_the_octets(octets: bytes, before: bytes) -> None:
    for twin in TWINS.values():
        key = twin.key_of(octets, 0, len(octets))
        assert twin.key_of(bytearray(before + octets), len(before), len(before) + len(octets)) == key
        assert twin.key_of(octets + b"x", 0, len(octets) + 1) != key


def calls_at(twin: ModuleType, data: Any, start: int) -> list[Callable[[], object]]:
    """All functions that take a position, at this one."""
    return [
        lambda: twin.part(data, start, 3),
        lambda: twin.part(data, 0, start),
        lambda: twin.key_of(data, start, 3),
        lambda: twin.key_of(data, 0, start),
        lambda: twin.stands_at(data, start, b"a"),
        lambda: twin.empty_lines(data, start, 16),
        lambda: twin.request_line(data, start, 100, twin.HeadLines()),
        lambda: twin.field_lines(data, start, 100, 100, False, False, twin.HeadLines()),
        lambda: twin.Chunks().read(data, start),
    ]


@pytest.mark.parametrize("start", [-FAR, -1, 4, FAR])
@pytest.mark.parametrize("data", [b"a\r\n", bytearray(b"a\r\n")])
def test_positions_outside(twin: ModuleType, data: Any, start: int) -> None:
    for call in calls_at(twin, data, start):
        with pytest.raises(IndexError):
            call()
    with pytest.raises(IndexError):
        twin.part(data, 2, 1)


def test_another_line_than_the_one_begun(twin: ModuleType) -> None:
    """What was seen of a line is longer than what there is."""
    head = twin.HeadLines()
    assert twin.request_line(b"GET /abc", 0, 100, head) == 0
    for data in (b"GET /ab", b""):
        with pytest.raises(IndexError):
            twin.request_line(data, 0, 100, head)
        with pytest.raises(IndexError):
            twin.field_lines(data, 0, 100, 100, False, False, head)
    for limit in (-1, 0, 1, 5):
        assert twin.request_line(b"GET /abcd", 0, limit, head) == -tables.E_LINE_LONG


@pytest.mark.parametrize("limit", [-FAR, -1, 0, 1, 3])
def test_limits_that_are_none(twin: ModuleType, limit: int) -> None:
    assert twin.request_line(HEAD, 0, limit, twin.HeadLines()) == -tables.E_LINE_LONG
    assert twin.field_lines(FIELDS, 0, limit, 9, False, False, twin.HeadLines()) == -tables.E_SECTION_LONG
    if limit < 1:
        assert twin.field_lines(FIELDS, 0, 99, limit, False, False, twin.HeadLines()) == -tables.E_COUNT


def calls_with(twin: ModuleType, wrong: Any) -> list[Callable[[], object]]:
    """All functions, with something wrong in place of octets."""
    head, out = twin.HeadLines(), twin.Octets()
    return [
        lambda: twin.part(wrong, 0, 0),
        lambda: twin.key_of(wrong, 0, 0),
        lambda: twin.stands_at(wrong, 0, b""),
        lambda: twin.stands_at(b"", 0, wrong),
        lambda: twin.empty_lines(wrong, 0, 1),
        lambda: twin.request_line(wrong, 0, 9, head),
        lambda: twin.field_lines(wrong, 0, 9, 9, False, False, head),
        lambda: twin.is_token(wrong),
        lambda: twin.valid_authority(wrong),
        lambda: twin.same_authority(wrong, b"a", False),
        lambda: twin.same_authority(b"a", wrong, False),
        lambda: twin.connection_options(wrong),
        lambda: twin.content_length(wrong),
        lambda: twin.decimal(wrong),
        lambda: twin.judge_codings([wrong]),
        lambda: twin.Chunks().read(wrong, 0),
        lambda: twin.field_kind(wrong, b""),
        lambda: twin.field_kind(b"a", wrong),
        lambda: twin.write_field(out, wrong, b""),
        lambda: twin.write_field(out, b"", wrong),
        lambda: twin.encode_chunk(wrong),
        lambda: twin.encode_response(b"", b"", b"", b"", b"", wrong),
    ]


@pytest.mark.parametrize("wrong", [None, 7])
def test_what_is_no_octets(twin: ModuleType, wrong: Any) -> None:
    """Never read as octets. The pure twin says what Python says."""
    expected = (TypeError, AttributeError) if twin is TWINS["pure"] else TypeError
    for call in calls_with(twin, wrong):
        with pytest.raises(expected):
            call()


def test_none_in_place_of_what_is_written(twin: ModuleType) -> None:
    expected = AttributeError if twin is TWINS["pure"] else TypeError
    with pytest.raises(expected):
        twin.request_line(b"a", 0, 9, None)
    with pytest.raises(expected):
        twin.field_lines(b"a", 0, 9, 9, False, False, None)
    with pytest.raises(expected):
        twin.write_field(None, b"a", b"")
    with pytest.raises(TypeError):
        twin.judge_codings(None)
