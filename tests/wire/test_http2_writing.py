"""What the server writes in HTTP/2: fields that repeat become one octet, and the `hpack` package reads them all."""

from __future__ import annotations

import random
from typing import Any

import hpack
import pytest
from tests.support.http2 import CONTINUATION, END_HEADERS, END_STREAM, HEADERS, Reader, settings

from hypercorn.wire.http2_writer import FieldLines, FrameWriter, encode_integer

SERVER = [(b"date", b"Thu, 01 Jan 1970 00:00:00 GMT"), (b"server", b"hypercorn-h2")]


def head(
    writer: FrameWriter, lines: FieldLines, stream: int, headers: list[tuple[bytes, bytes]], status: int = 200
) -> bytes:
    writer.headers(stream, lines.status(status), lines.check(headers), lines.server(SERVER), True)
    return writer.take()


def test_what_repeats_is_one_octet() -> None:
    lines = FieldLines()
    writer = FrameWriter()
    sizes = [len(head(writer, lines, stream, [(b"content-type", b"text/plain")])) for stream in (1, 3, 5)]
    assert sizes[0] > 60
    assert sizes[2] == 9 + 4  # :status, content-type, date, server


def test_another_connection_profits_at_once() -> None:
    lines = FieldLines()
    for _ in range(3):
        head(FrameWriter(), lines, 1, [(b"content-type", b"text/html")])
    writer = FrameWriter()
    head(writer, lines, 1, [(b"content-type", b"text/html")])
    assert len(head(writer, lines, 3, [(b"content-type", b"text/html")])) == 9 + 4


def test_what_varies_and_what_is_secret_stays_out_of_the_table() -> None:
    lines = FieldLines()
    writer = FrameWriter()
    for stream in range(1, 20, 2):
        sent = head(writer, lines, stream, [(b"set-cookie", b"a=secret"), (b"etag", b'"1"')])
        assert b"a=secret" in sent
    assert b"\x1f\x28\x08a=secret" in sent  # never indexed: 0x10 and the name's index 55
    assert writer.used == sum(line.size for line in lines.server(SERVER))


@pytest.mark.parametrize("seed", range(3))
def test_hpack_reads_what_was_written(seed: int) -> None:
    random_ = random.Random(seed)
    lines = FieldLines()
    writer = FrameWriter()
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 4096
    names = [b"x-%d" % number for number in range(90)] + [b"server", b"vary", b"content-type", b"set-cookie"]
    for stream in range(1, 2000, 2):
        if random_.random() < 0.03:
            for _ in range(random_.randint(1, 3)):
                writer.resize(random_.choice([0, 40, 100, 1000, 4096, 1 << 31]))
        fields = [(random_.choice(names), b"v" * random_.randint(0, 60)) for _ in range(random_.randint(0, 6))]
        status = random_.choice([200, 204, 206, 304, 404, 500, 299, 418])
        sent = head(writer, lines, stream, fields, status)
        decoded = [(bytes(name), bytes(value)) for name, value in decoder.decode(sent[9:], raw=True)]
        assert decoded == [(b":status", b"%d" % status), *fields, *SERVER]
        assert writer.used <= writer.limit <= 4096
        assert writer.used == sum(line.size for line in writer.numbers)


def test_fields_that_do_not_repeat_stay_out_of_the_table() -> None:
    """A value that comes once would only push out what repeats."""
    lines = FieldLines()
    writer = FrameWriter()
    decoder = hpack.Decoder()
    for number in range(300):
        fields = [(b"x-request-id", b"%032x" % number), (b"x-page", b"item")]
        sent = head(writer, lines, 2 * number + 1, fields)
        decoded = decoder.decode(sent[9:], raw=True)
        assert [(bytes(name), bytes(value)) for name, value in decoded[1:3]] == fields
    assert {line.name.name for line in writer.numbers} == {b"x-page", b"date", b"server"}
    assert writer.inserted == 3


def test_names_in_any_case_are_written_in_lower_case_and_remembered_within_bounds() -> None:
    lines = FieldLines()
    writer = FrameWriter()
    decoder = hpack.Decoder()
    for number in range(1000):
        fields = [(b"X-Name-%d" % number, b"a"), (b" ETag\t", b" b\t"), (b"etag", b"c")]
        decoded = decoder.decode(head(writer, lines, 2 * number + 1, fields)[9:], raw=True)
        assert [bytes(name) for name, _ in decoded[1:4]] == [b"x-name-%d" % number, b"etag", b"etag"]
        assert [bytes(value) for _, value in decoded[1:4]] == [b"a", b"b", b"c"]
        assert len(lines.names) < 300


def test_a_long_head_goes_on_in_continuations() -> None:
    lines = FieldLines()
    writer = FrameWriter()
    fields = [(b"x-%d" % number, b"v" * 1000) for number in range(50)]
    reader = Reader()
    reader.feed(settings() + head(writer, lines, 1, fields))
    assert [one.kind for one in reader.frames[1:]] == [HEADERS, CONTINUATION, CONTINUATION, CONTINUATION]
    assert [one.flags for one in reader.frames[1:]] == [END_STREAM, 0, 0, END_HEADERS]
    assert reader.answers[1].headers[1:-2] == fields


@pytest.mark.parametrize(("value", "prefix", "data"), [(10, 5, b"\x0a"), (1337, 5, b"\x1f\x9a\x0a"), (42, 8, b"*")])
def test_integers_of_the_rfc(value: int, prefix: int, data: bytes) -> None:
    """RFC 7541 appendix C.1."""
    assert encode_integer(value, prefix, 0) == data


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([("a", b"1")], TypeError),
        ([(b"a", "1")], TypeError),
        ([(None, b"1")], TypeError),
        ([(b"a",)], TypeError),
        ([b"ab"], TypeError),
        ([(b"a b", b"1")], ValueError),
        ([(b"", b"1")], ValueError),
        ([(b":status", b"200")], ValueError),
        ([(b"a", b"1\r\nb: 2")], ValueError),
        ([(b"content-length", b"+1")], ValueError),
        ([(b"content-length", b"1"), (b"content-length", b"2")], ValueError),
    ],
)
def test_malformed_fields_of_an_application(headers: list[tuple[bytes, bytes]], error: type[Exception]) -> None:
    with pytest.raises(error):
        FieldLines().check(headers)


def test_fields_are_normalised() -> None:
    lines = FieldLines()
    writer = FrameWriter()
    decoder = hpack.Decoder()
    fields: list[Any] = [(b"X-Upper", b" 1 "), [b"Connection", b"close"], (b"transfer-encoding", b"chunked")]
    fields += [(b"Content-Length", b"3"), (b"content-length", b"3"), (b"keep-alive", b"1"), (b"upgrade", b"x")]
    for stream in (1, 3, 5):
        checked = lines.check(fields)
        assert (lines.content_length, lines.has_date, lines.has_server) == (3, False, False)
        writer.headers(stream, lines.status(200), checked, [], True)
        decoded = [(bytes(name), bytes(value)) for name, value in decoder.decode(writer.take()[9:], raw=True)]
        assert decoded == [(b":status", b"200"), (b"x-upper", b"1"), (b"content-length", b"3")]
    assert lines.check([(b"Date", b"x"), (b"SERVER", b"y")])
    assert (lines.content_length, lines.has_date, lines.has_server) == (-1, True, True)


def test_the_memory_of_a_worker_is_bounded() -> None:
    lines = FieldLines()
    for number in range(5000):
        lines.check([(b"x-id", b"%d" % number)])
    assert len(lines.young) + len(lines.old) < 1200
