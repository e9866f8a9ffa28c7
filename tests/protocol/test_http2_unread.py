"""HTTP/2 responses that are complete before their requests (RFC 9113 section 8.1): the rest is read and dropped, within
limits, so that clients which send all of it first see the response."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import Answers, Reads, body, start
from tests.support.http2 import (
    CANCEL,
    DATA,
    H2,
    NO_ERROR,
    PADDED,
    POST,
    PROTOCOL_ERROR,
    RST_STREAM,
    data,
    frame,
    headers,
    reset,
)

LIMIT = 200_000


def early(*fields: tuple[bytes, bytes], **options: Any) -> H2:
    """A client whose POST was answered."""
    h2 = H2(Answers(start(), body(b"no")), **{"max_unread_body": LIMIT, **options})
    h2.send(headers(1, [*POST, *fields], end=False))
    assert (h2.answer().body, h2.answer().ended, h2.answer().reset) == (b"no", True, None)
    return h2


def upload(h2: H2, size: int, end: bool = False) -> None:
    while size:
        piece = min(size, 16384)
        size -= piece
        h2.send(data(1, bytes(piece), end and not size))


@pytest.mark.parametrize("announced", [True, False])
def test_the_rest_is_read_within_the_limit(announced: bool) -> None:
    """The client gets credit for all of it at once, beside the window of the connection, and no RST_STREAM."""
    h2 = early(*[(b"content-length", b"%d" % LIMIT)] if announced else [])
    assert h2.reader.windows[1] == LIMIT - 65535
    upload(h2, LIMIT, end=True)
    assert h2.answer().reset is None
    assert h2.connection.streams == {}
    assert not any(each.kind == RST_STREAM for each in h2.reader.frames)
    assert h2.alive()


def test_small_bodies_need_no_credit() -> None:
    h2 = early(max_unread_body=1000)
    assert 1 not in h2.reader.windows
    upload(h2, 1000, end=True)
    assert h2.connection.streams == {}


def test_beyond_the_limit_the_stream_is_reset() -> None:
    h2 = early(max_unread_body=1000)
    upload(h2, 1000)
    assert h2.answer().reset is None
    upload(h2, 1)
    assert h2.answer().reset == NO_ERROR
    assert h2.connection.streams == {}
    upload(h2, 16384)
    assert h2.alive()


def test_a_rest_that_is_too_long_gets_no_credit_but_time() -> None:
    h2 = early((b"content-length", b"%d" % (LIMIT + 1)))
    assert 1 not in h2.reader.windows
    upload(h2, 65535)
    h2.advance(1.9)
    assert h2.answer().reset is None
    h2.advance(0.2)
    assert h2.answer().reset == NO_ERROR


def test_padding_counts() -> None:
    h2 = early(max_unread_body=1000)
    for _ in range(3):
        h2.send(frame(DATA, PADDED, 1, bytes((255,)) + bytes(255)))
        assert h2.answer().reset is None
    h2.send(frame(DATA, PADDED, 1, bytes((255,)) + bytes(255)))
    assert h2.answer().reset == NO_ERROR
    assert 1 not in h2.reader.windows


def test_a_silent_client_is_not_waited_for() -> None:
    """`linger_timeout` is the longest time without any of the rest."""
    h2 = early()
    for _ in range(4):
        h2.advance(1.9)
        upload(h2, 10_000)
        assert h2.answer().reset is None
    h2.advance(2.1)
    assert h2.answer().reset == NO_ERROR
    assert h2.alive()


def test_a_client_that_trickles_is_not_waited_for() -> None:
    """The least rate of a request body holds for the rest of it, too."""
    h2 = early()
    for _ in range(9):
        h2.advance(0.5)
        upload(h2, 1)
        assert h2.answer().reset is None
    h2.advance(0.6)
    assert h2.answer().reset == NO_ERROR


@pytest.mark.parametrize("option", ["max_unread_body", "linger_timeout"])
def test_zero_is_none_of_it(option: str) -> None:
    h2 = H2(Answers(start(), body(b"no")), **{option: 0})
    h2.send(headers(1, POST, end=False))
    assert (h2.answer().body, h2.answer().reset) == (b"no", NO_ERROR)
    assert h2.connection.streams == {}


@pytest.mark.parametrize("how", ["DATA", "trailers", "RST_STREAM"])
def test_ends_by_the_client(how: str) -> None:
    h2 = early()
    upload(h2, 100)
    ends = {"DATA": data(1, b"", True), "trailers": headers(1, [(b"x", b"y")]), "RST_STREAM": reset(1, CANCEL)}
    h2.send(ends[how])
    assert h2.connection.streams == {}
    assert h2.answer().reset is None
    h2.advance(3)
    assert h2.answer().reset is None
    assert h2.alive()


def test_a_second_head_is_no_trailers() -> None:
    h2 = early()
    h2.send(headers(1, [(b"x", b"y")], end=False))
    assert h2.answer().reset == PROTOCOL_ERROR


def test_empty_frames_are_counted() -> None:
    h2 = early()
    for _ in range(200):
        h2.send(data(1) * 10)
    assert h2.goaway == 11


@pytest.mark.parametrize("size", [100_000, 1_000_000, 5_000_000])
@pytest.mark.parametrize("announced", [True, False])
def test_bodies_that_are_too_large_by_default(size: int, announced: bool) -> None:
    """413, of the server and not of the application, is seen by whoever sends all first."""
    h2 = H2(Reads(), max_body_size=10)
    fields = [*POST, (b"content-length", b"%d" % size)] if announced else POST
    h2.send(headers(1, fields, end=False), data(1, bytes(11)))
    assert h2.answer().status == 413
    upload(h2, size - 11, end=True)
    assert h2.answer().reset is None
    assert h2.connection.streams == {}
    assert h2.alive()


def test_an_exchange_that_lingers_is_over_for_its_application() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start())
        await send(body(b"no"))
        seen.append((await receive())["type"])

    h2 = H2(app)
    h2.send(headers(1, POST, end=False))
    assert seen == ["http.disconnect"]
    upload(h2, 100_000, end=True)
    assert h2.connection.streams == {}


def test_a_shutdown_waits_for_the_rest() -> None:
    h2 = early(idle_grace=0)
    h2.server.shutdown()
    h2.advance(1.1)
    assert not h2.over
    upload(h2, 100_000, end=True)
    assert h2.over


def test_streams_that_linger_count() -> None:
    h2 = early(h2_max_concurrent_streams=1)
    h2.send(headers(3))
    assert h2.answer(3).reset == 7
    upload(h2, 1000, end=True)
    assert h2.alive()
