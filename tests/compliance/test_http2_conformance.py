"""RFC 9113 and RFC 7541: every MUST that a server can break, by section, with frames made by hand.

Most stand where their part of the server is tested; here is the map, the strict reader of `tests.support.http2` that
holds what a server must not send, and what has no better place.

    3.4 4.1 4.2 5.1 5.1.1 5.5 6.1-6.10    tests/protocol/test_http2_frames.py
    5.1.2 5.4 10.5                        tests/protocol/test_http2_abuse.py, tests/compliance/test_http2_live.py
    5.2 6.9                               tests/protocol/test_http2_flow.py, tests/runtime/test_http2_bulk.py
    6.6 8.4                               tests/protocol/test_http2_push.py
    8.1 8.2 8.3 8.5 8.6                   tests/protocol/test_http2_requests.py
    RFC 7541                              tests/wire/test_hpack.py, tests/wire/test_http2_writing.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import (
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE_ERROR,
    GET,
    H2,
    HEADERS,
    PING,
    POST,
    PROTOCOL_ERROR,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    block,
    data,
    frame,
    headers,
    integer,
    literal,
    reset,
    settings,
    window_update,
)

UPLOAD = headers(3, POST, end=False)
UNENDED = frame(HEADERS, END_STREAM, 3, block(GET))


def head(encoded: bytes) -> bytes:
    """A request whose block ends like this."""
    return frame(HEADERS, END_STREAM | END_HEADERS, 3, block(GET) + encoded)


CONNECTION_ERRORS = {
    "4.2 HEADERS larger than SETTINGS_MAX_FRAME_SIZE": (frame(HEADERS, 4, 3, bytes(16385)), FRAME_SIZE_ERROR),
    "4.2 SETTINGS larger than that": (frame(SETTINGS, 0, 0, bytes(16386)), FRAME_SIZE_ERROR),
    "4.2 CONTINUATION larger than that": (UNENDED + frame(CONTINUATION, 4, 3, bytes(16385)), FRAME_SIZE_ERROR),
    "4.2 a frame of an unknown type larger than that": (frame(0xF0, 0, 3, bytes(16385)), FRAME_SIZE_ERROR),
    "5.1 CONTINUATION on an idle stream": (frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR),
    "5.1.1 an even stream for an upload": (headers(4, POST, end=False), PROTOCOL_ERROR),
    "6.4 RST_STREAM of 5 octets": (frame(RST_STREAM, 0, 1, bytes(5)), FRAME_SIZE_ERROR),
    "6.5.2 ENABLE_PUSH of 2^32-1": (settings((2, (1 << 32) - 1)), PROTOCOL_ERROR),
    "6.5.3 a wrong value behind a good one": (settings((4, 100), (5, 1)), PROTOCOL_ERROR),
    "6.7 PING of 9 octets": (frame(PING, 0, 0, bytes(9)), FRAME_SIZE_ERROR),
    "6.9 WINDOW_UPDATE of 5 octets": (frame(WINDOW_UPDATE, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "6.10 CONTINUATION on stream 0": (UNENDED + frame(CONTINUATION, END_HEADERS, 0), PROTOCOL_ERROR),
    "6.10 CONTINUATION behind the end of a block": (headers(3) + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR),
    "6.10 CONTINUATION behind DATA": (UPLOAD + data(3) + frame(CONTINUATION, END_HEADERS, 3), PROTOCOL_ERROR),
    "6.10 DATA inside a block": (UNENDED + data(3), PROTOCOL_ERROR),
    "6.10 SETTINGS inside a block": (UNENDED + settings(), PROTOCOL_ERROR),
    "6.10 WINDOW_UPDATE inside a block": (UNENDED + window_update(0, 1), PROTOCOL_ERROR),
    "6.10 HEADERS inside a block": (UNENDED + headers(3), PROTOCOL_ERROR),
    "RFC 7541 2.3.3 index 0": (head(b"\x80"), COMPRESSION_ERROR),
    "RFC 7541 2.3.3 an index past the table": (head(integer(200, 7, 0x80)), COMPRESSION_ERROR),
    "RFC 7541 4.2 a size update that is no first thing": (head(b"\x20"), COMPRESSION_ERROR),
    "RFC 7541 5.1 an integer too large": (head(b"\xff" + b"\xff" * 9 + b"\x7f"), COMPRESSION_ERROR),
    "RFC 7541 5.2 a string longer than its block": (head(b"\x00\x05abc"), COMPRESSION_ERROR),
    "RFC 7541 5.2 padding of eight bits": (head(b"\x00\x01a\x82\x1f\xff"), COMPRESSION_ERROR),
    "RFC 7541 5.2 padding that is not of ones": (head(b"\x00\x01a\x81\x18"), COMPRESSION_ERROR),
    "RFC 7541 5.2 the end of string symbol": (head(b"\x00\x01a\x84\xff\xff\xff\xfc"), COMPRESSION_ERROR),
    "RFC 7541 6.3 a size update above the setting": (
        frame(HEADERS, END_STREAM | END_HEADERS, 3, integer(4097, 5, 0x20) + block(GET)),
        COMPRESSION_ERROR,
    ),
    "4.3 trailers that cannot be decoded": (
        UPLOAD + frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\xbe"),
        COMPRESSION_ERROR,
    ),
    "4.3 what cannot be decoded for a stream that is gone": (
        UPLOAD + reset(3) + frame(HEADERS, END_STREAM | END_HEADERS, 3, b"\xbe"),
        COMPRESSION_ERROR,
    ),
}


@pytest.mark.parametrize(("wrong", "code"), CONNECTION_ERRORS.values(), ids=CONNECTION_ERRORS.keys())
def test_errors_of_the_connection(wrong: bytes, code: int) -> None:
    """Section 5.4.1: GOAWAY with the code, then the end."""
    h2 = H2(Reads())
    h2.send(wrong, headers(101))
    assert h2.goaway == code
    assert 101 not in h2.reader.answers
    h2.advance(60)
    assert h2.client.closed
    assert h2.client.errors == []


STREAM_ERRORS = {
    "5.1 DATA behind the client's RST_STREAM": (UPLOAD + reset(3) + data(3, b"x"), STREAM_CLOSED),
    "8.1 a second head": (UPLOAD + headers(3, POST), PROTOCOL_ERROR),
    "8.2.1 an upper-case name in trailers": (UPLOAD + headers(3, [(b"A", b"b")]), PROTOCOL_ERROR),
    "8.2.2 connection in trailers": (UPLOAD + headers(3, [(b"connection", b"close")]), PROTOCOL_ERROR),
    "8.3 an empty path": (headers(3, [*GET[:2], (b":path", b""), GET[3]]), PROTOCOL_ERROR),
    "8.3.1 a host that is not the authority": (headers(3, [*GET, (b"host", b"other")]), PROTOCOL_ERROR),
}


@pytest.mark.parametrize(("wrong", "code"), STREAM_ERRORS.values(), ids=STREAM_ERRORS.keys())
def test_errors_of_a_stream(wrong: bytes, code: int) -> None:
    """Section 5.4.2: RST_STREAM with the code; the connection goes on."""
    h2 = H2(Reads())
    h2.send(wrong)
    assert h2.answer(3).reset == code
    h2.send(headers(5))
    assert h2.answer(5).ended
    assert h2.goaway is None
    assert h2.client.errors == []


@pytest.mark.parametrize("size", [0, 33, 4096, 65536])
def test_the_clients_table_is_kept_to(size: int) -> None:
    """RFC 9113 section 6.5.2, RFC 7541 section 4.2: the first block behind the acknowledgement says the new size, and
    what refers to the table fits the client's."""
    fields = [(b"x-a", b"1"), (b"x-b", b"2"), (b"content-type", b"text/plain")]
    h2 = H2(Answers(start(headers=fields), body(b"ok")))
    h2.send(headers(1))
    h2.send(headers(3))
    h2.reader.decoder.max_allowed_table_size = size
    h2.send(settings((1, size)))
    for stream in (5, 7, 9):
        h2.send(headers(stream))
        assert h2.answer(stream).headers[-len(fields) :] == h2.answer(1).headers[-len(fields) :]
        assert h2.reader.decoder.header_table_size <= size


def test_a_table_that_was_small_for_a_moment() -> None:
    """RFC 7541 section 4.2: of two changes between blocks the smaller one is told too."""
    h2 = H2(Answers(start(headers=[(b"x-a", b"1")]), body(b"ok")))
    h2.send(headers(1))
    h2.send(headers(3))
    h2.send(settings((1, 0)), settings((1, 4096)))
    h2.reader.decoder.header_table_size = 0  # what the client forgot with the first of them
    h2.reader.decoder.header_table_size = 4096
    h2.send(headers(5))
    assert (b"x-a", b"1") in h2.answer(5).headers


def test_never_indexed_and_indexed_fields_arrive_alike() -> None:
    """RFC 7541 section 6.2."""
    app = Answers()
    h2 = H2(app)
    for number, first in enumerate((0x00, 0x10, 0x40)):
        text = block(GET) + literal(b"x-a", b"1", first)
        h2.send(frame(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, text))
    assert [scope["headers"][-1] for scope in app.scopes] == [(b"x-a", b"1")] * 3


@pytest.mark.parametrize("name", [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"])
def test_no_field_of_a_connection_is_sent(name: bytes) -> None:
    """Section 8.2.2."""
    h2 = H2(Answers(start(headers=[(name, b"x")]), body(b"ok")))
    h2.send(headers(1))
    assert h2.answer().get(name) is None


def test_data_is_cut_to_what_the_client_allows() -> None:
    """Section 4.2: the limit as it stands, and as the client raises it; the reader judges."""
    h2 = H2(Answers(start(), body(b"x" * 100_000)))
    h2.reader.max_frame_size = 20_000
    h2.send(settings((4, 1 << 20), (5, 20_000)), window_update(0, 1 << 20), headers(1))
    assert h2.answer().body == b"x" * 100_000
    assert max(h2.answer().pieces) <= 20_000


def test_every_section_has_its_cases() -> None:
    """Each frame's own section, and each of HPACK's that can fail, is named by a case."""
    folder = Path(__file__).parents[1]
    cases = (folder / "protocol").glob("test_http2_*.py")
    text = "".join(path.read_text() for path in (*cases, Path(__file__), folder / "support" / "http2.py"))
    sections: list[Any] = ["4.1", "4.2", "4.3", "5.1", "5.1.1", *(f"6.{number}" for number in range(1, 11))]
    sections += ["6.5.2", "6.5.3", "6.9.1", "6.9.2", "8.1", "8.1.1", "8.2.1", "8.2.2", "8.3", "8.3.1"]
    sections += [f"RFC 7541 {number}" for number in ("2.3.3", "4.2", "5.1", "5.2", "6.3")]
    assert [section for section in sections if f'"{section} ' not in text] == []
