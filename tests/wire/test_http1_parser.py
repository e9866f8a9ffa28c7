"""The contract of the request parser beyond the case file, over both twins."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from tests.wire.play import BODY, ERROR, HEAD, NEED_DATA, bytewise, play

from hypercorn.errors import ProtocolError
from hypercorn.wire.tables import DROPPED_TRAILERS, FORBIDDEN_TRAILERS

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def head(twin: ModuleType, raw: bytes, **limits: Any) -> Any:
    """A parser that has just told this head."""
    parser = twin.RequestParser(**limits)
    parser.feed(raw)
    assert parser.next_event() == HEAD, parser.error
    return parser


def refusal(twin: ModuleType, raw: bytes, **limits: Any) -> int | None:
    """The status that the input gets, the same whole and byte by byte."""
    whole = play(twin.RequestParser(**limits), [raw])
    assert play(twin.RequestParser(**limits), bytewise(raw)) == whole
    return whole.refusal[0] if whole.refusal else None


def field(line: bytes, version: bytes = b"1.1", host: bytes = b"Host: a\r\n") -> bytes:
    return b"GET / HTTP/" + version + b"\r\n" + host + line + b"\r\n\r\n"


def test_events_are_what_the_contract_says(twin: ModuleType) -> None:
    assert (twin.NEED_DATA, twin.HEAD, twin.BODY, twin.ERROR) == (0, 1, 2, 3)


def test_pipelined_requests_stay_pending(twin: ModuleType) -> None:
    parser = head(twin, GET + SIZED % 2 + b"ab" + GET)
    assert parser.complete
    assert parser.buffered() == len(SIZED % 2 + b"ab" + GET)
    assert parser.next_event() == HEAD
    assert (parser.method, parser.complete, parser.in_body) == ("POST", False, True)
    assert parser.next_event() == BODY
    assert (parser.body, parser.complete, parser.in_body) == (b"ab", True, False)
    assert parser.next_event() == HEAD
    assert parser.next_event() == NEED_DATA
    assert parser.idle


def test_an_error_poisons(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    parser.feed(b"\x16\x03\x01")
    for _ in range(3):
        assert parser.next_event() == ERROR
        assert type(parser.error) is ProtocolError
        assert parser.error.status == 400
        parser.feed(GET)
        assert parser.buffered() == 0
    assert not parser.idle


def test_an_error_behind_data_comes_after_the_data(twin: ModuleType) -> None:
    parser = head(twin, CHUNKED + b"2\r\nab\r\nX")
    assert parser.next_event() == BODY
    assert (parser.body, parser.complete) == (b"ab", False)
    assert parser.next_event() == ERROR
    assert parser.error.status == 400


def test_a_body_object_is_handed_over_uncopied(twin: ModuleType) -> None:
    parser = head(twin, SIZED % 6)
    first, last = b"abc" * 1, bytes(bytearray(b"def"))
    parser.feed(first)
    assert parser.next_event() == BODY
    assert parser.body is first
    assert parser.body_remaining == 3
    parser.feed(last)
    assert parser.next_event() == BODY
    assert parser.body is last
    assert parser.complete
    assert parser.trailers == []


def test_chunks_at_hand_are_joined(twin: ModuleType) -> None:
    parser = head(twin, CHUNKED + b"2\r\nab\r\n3\r\ncde\r\n4\r\nf")
    assert (parser.content_length, parser.chunked, parser.body_remaining) == (-1, True, -1)
    assert parser.next_event() == BODY
    assert parser.body == b"abcdef"
    assert parser.next_event() == NEED_DATA
    parser.feed(b"ghi\r\n0\r\nX-A: b\r\n\r\n" + GET)
    assert parser.next_event() == BODY
    assert (parser.body, parser.complete, parser.trailers) == (b"ghi", True, [(b"x-a", b"b")])
    assert parser.next_event() == HEAD


@pytest.mark.parametrize("name", [*sorted(FORBIDDEN_TRAILERS), b"proxy-authorization"])
def test_trailers_that_are_refused(twin: ModuleType, name: bytes) -> None:
    """RFC 9110 section 6.5.1, the same fields as in HTTP/2 and HTTP/3."""
    for spelt in (name, name.upper()):
        assert refusal(twin, CHUNKED + b"0\r\n" + spelt + b": 1\r\n\r\n") == 400
    assert refusal(twin, CHUNKED + b"0\r\nx-" + name + b": 1\r\n\r\n") is None


@pytest.mark.parametrize("name", sorted(DROPPED_TRAILERS))
def test_trailers_that_describe_the_content_are_dropped(twin: ModuleType, name: bytes) -> None:
    parser = head(twin, CHUNKED)
    parser.feed(b"0\r\na: b\r\n" + name.title() + b": text/html\r\nc: d\r\n\r\n" + GET)
    assert parser.next_event() == BODY
    assert (parser.complete, parser.trailers) == (True, [(b"a", b"b"), (b"c", b"d")])
    assert parser.next_event() == HEAD


@pytest.mark.parametrize("digit", range(1, 10))
def test_a_later_minor_version_is_read_as_1_1(twin: ModuleType, digit: int) -> None:
    parser = head(twin, b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % digit)
    assert (parser.http_version, parser.keep_alive) == ("1.1", True)
    assert refusal(twin, b"GET / HTTP/1.%d\r\n\r\n" % digit) == 400, "no Host"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b", ,chunked, ,", None),
        (b"chunked,", None),
        (b"", 400),
        (b",", 400),
        (b" , ", 400),
        (b"chunked,,chunked", 400),
        (b"gzip,,chunked", 501),
        (b"chunked,,x", 400),
        (b",\r\nTransfer-Encoding: chunked", 400),
        (b"chunked\r\nTransfer-Encoding:", 400),
    ],
)
def test_empty_elements_of_transfer_encoding_are_ignored(twin: ModuleType, value: bytes, status: int | None) -> None:
    """RFC 9110 section 5.6.1.2; a line without any coding is malformed all the same."""
    raw = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: " + value + b"\r\n\r\n"
    assert refusal(twin, raw) == status
    if status is None:
        assert head(twin, raw).chunked


@pytest.mark.parametrize("memory", [False, True])
def test_the_host_of_an_old_request_target_is_a_field_too(twin: ModuleType, memory: bool) -> None:
    """RFC 9112 section 3.2.2: HTTP/1.0 needs no Host field."""
    parser = twin.RequestParser(memory=twin.FieldMemory() if memory else None)
    for _ in range(4):
        parser.feed(b"GET http://b:81/x HTTP/1.0\r\nA: b\r\nConnection: keep-alive\r\n\r\n")
        assert parser.next_event() == HEAD
        assert parser.host == b"b:81"
        assert parser.headers == [(b"host", b"b:81"), (b"a", b"b"), (b"connection", b"keep-alive")]


def test_the_rest_goes_to_another_protocol(twin: ModuleType) -> None:
    upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n"
    parser = head(twin, upgrade + b"\x81\x85")
    assert parser.upgrade == b"websocket"
    assert parser.take_rest() == b"\x81\x85"
    assert parser.take_rest() == b""
    assert parser.buffered() == 0
    parser = twin.RequestParser()
    data = b"PRI * HTTP"
    parser.feed(data)
    assert parser.take_rest() is data
    parser.feed(b"GE")
    parser.feed(b"T ")
    assert parser.take_rest() == b"GET "


def test_idle_means_that_nothing_came(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    assert parser.idle
    parser.feed(b"\r\n")
    assert parser.next_event() == NEED_DATA
    assert parser.idle
    parser.feed(b"G")
    assert not parser.idle
    assert parser.next_event() == NEED_DATA
    assert not parser.idle
    assert parser.method == ""
    parser.feed(b"ET ")
    assert parser.next_event() == NEED_DATA
    assert parser.method == "GET"
    parser.feed(GET[4:])
    assert parser.next_event() == HEAD
    assert parser.idle


def test_a_refused_request_can_be_logged(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    parser.feed(b"GET /path?q HTTP/1.1\r\nBad Field: x\r\n\r\n")
    assert parser.next_event() == ERROR
    assert (parser.method, parser.raw_target) == ("GET", b"/path?q")
    parser = head(twin, GET)
    parser.feed(b"\x00")
    assert parser.next_event() == ERROR
    assert (parser.method, parser.raw_target) == ("", b"")


def test_feed_takes_bytes_alone(twin: ModuleType) -> None:
    parser = twin.RequestParser()
    for wrong in ("GET", bytearray(GET), memoryview(GET), None, 1):
        with pytest.raises(TypeError):
            parser.feed(wrong)
    parser.feed(b"")
    assert parser.next_event() == NEED_DATA


def test_names_keep_their_case_if_asked(twin: ModuleType) -> None:
    raw = b"POST / HTTP/1.1\r\nhOST: a\r\nX-miXed: V\r\nContent-LENGTH: 2\r\n\r\nab"
    parser = head(twin, raw, keep_case=True)
    assert parser.headers == [(b"hOST", b"a"), (b"X-miXed", b"V"), (b"Content-LENGTH", b"2")]
    assert (parser.host, parser.content_length) == (b"a", 2)
    assert [name for name, _ in head(twin, raw).headers] == [b"host", b"x-mixed", b"content-length"]


@pytest.mark.parametrize(
    ("target", "raw_path", "path", "query"),
    [
        (b"/", b"/", "/", b""),
        (b"/a?b?c", b"/a", "/a", b"b?c"),
        (b"/a?", b"/a", "/a", b""),
        (b"/%41%zz%", b"/%41%zz%", "/A%zz%", b""),
        (b"/%c3%a9?%41", b"/%c3%a9", "/\u00e9", b"%41"),
        (b"/%ff%2541", b"/%ff%2541", "/\ufffd%41", b""),
        (b"/a%00b%0d%0a", b"/a%00b%0d%0a", "/a\x00b\r\n", b""),
        (b"//b/../c", b"//b/../c", "//b/../c", b""),
        (b"http://a", b"/", "/", b""),
        (b"HTTP://A?q", b"/", "/", b"q"),
        (b"http://a:80/x?y", b"/x", "/x", b"y"),
        (b"http://a:/x", b"/x", "/x", b""),
    ],
)
def test_targets(twin: ModuleType, target: bytes, raw_path: bytes, path: str, query: bytes) -> None:
    parser = head(twin, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (parser.raw_target, parser.raw_path, parser.path, parser.query_string) == (
        target,
        raw_path,
        path,
        query,
    )


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET /a?b#c HTTP/1.1", 400),
        (b"GET /a?\xff HTTP/1.1", 400),
        (b"GET http://a#b HTTP/1.1", 400),
        (b"GET http://b/ HTTP/1.1", 400),
        (b"GET http://a:81/ HTTP/1.1", 400),
        (b"GET https://a:80/ HTTP/1.1", 400),
        (b"GET https://a:443/ HTTP/1.1", None),
        (b"GET ws://a/ HTTP/1.1", 421),
        (b"GET mailto:a HTTP/1.1", 400),
        (b"GET a:80 HTTP/1.1", 400),
        (b"OPTIONS * HTTP/1.1", None),
        (b"options * HTTP/1.1", 400),
        (b"CONNECT a:443 HTTP/1.1", 405),
        (b"CONNECT [::1]:443 HTTP/1.0", 405),
        (b"CONNECT a HTTP/1.1", 400),
        (b"CONNECT a: HTTP/1.1", 400),
        (b"CONNECT / HTTP/1.1", 400),
        (b"CONNECT * HTTP/2.0", 505),
        (b"GET / HTTP/1.2", None),
        (b"GET / HTTP/1.9", None),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/2.0", 505),
        (b"A" * 32 + b" / HTTP/1.1", None),
        (b"A" * 33 + b" / HTTP/1.1", 400),
        (b"A" * 33, 400),
        (b"G\tT / HTTP/1.1", 400),
    ],
)
def test_request_lines(twin: ModuleType, line: bytes, status: int | None) -> None:
    assert refusal(twin, line + b"\r\nHost: a\r\n\r\n") == status


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (b"", None),
        (b"a-b.c_d~e!$&'()*+;=", None),
        (b"%41", None),
        (b"a%2Db%c3%a4:80", None),
        (b"%", 400),
        (b"a%4", 400),
        (b"%4g", 400),
        (b"%:80", 400),
        (b"%4:80", 400),
        (b"[%3a%3a]", 400),
        (b"a:65535", None),
        (b"a:65536", 400),
        (b"a:000080", 400),
        (b":80", 400),
        (b":", 400),
        (b"[::]", None),
        (b"[1:2:3:4:5:6:7:8]", None),
        (b"[1:2:3:4:5:6:7:8:9]", 400),
        (b"[1:2:3:4:5:6:7]", 400),
        (b"[1::8]", None),
        (b"[1:2:3:4:5:6:7::]", None),
        (b"[1:2:3:4::5:6:7:8]", 400),
        (b"[1::2::3]", 400),
        (b"[:::]", 400),
        (b"[:1]", 400),
        (b"[1:]", 400),
        (b"[12345::]", 400),
        (b"[::1.2.3.4]", None),
        (b"[1:2:3:4:5:6:1.2.3.4]", None),
        (b"[1:2:3:4:5:6:7:1.2.3.4]", 400),
        (b"[1:2:3:4:5::1.2.3.4]", None),
        (b"[1:2:3:4:5:6::1.2.3.4]", 400),
        (b"[::1.2.3]", 400),
        (b"[::1.2.3.256]", 400),
        (b"[::1.2.3.04]", 400),
        (b"[1.2.3.4::]", 400),
        (b"[]", 400),
        (b"[::1%25eth0]", 400),
        (b"[v1.a]", 400),
        (b"[::1]x", 400),
        (b"a%20b", None),
        (b"a/b", 400),
        (b"a#b", 400),
    ],
)
def test_hosts(twin: ModuleType, value: bytes, status: int | None) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"
    assert refusal(twin, raw) == status
    if status is None:
        assert head(twin, raw).host == value


def test_the_target_names_the_host_where_no_field_does(twin: ModuleType) -> None:
    assert head(twin, b"GET http://a:80/ HTTP/1.0\r\n\r\n").host == b"a:80"
    assert head(twin, b"GET / HTTP/1.0\r\n\r\n").host == b""


@pytest.mark.parametrize(
    ("line", "version", "keep"),
    [
        (b"X: y", b"1.1", True),
        (b"X: y", b"1.0", False),
        (b"Connection: Keep-Alive", b"1.0", True),
        (b"Connection: keep-alive\r\nConnection: x, CLOSE", b"1.1", False),
        (b"Connection: keep-alive, close", b"1.0", False),
        (b"Connection: close-not", b"1.1", True),
    ],
)
def test_keep_alive(twin: ModuleType, line: bytes, version: bytes, keep: bool) -> None:
    assert head(twin, field(line, version)).keep_alive is keep


@pytest.mark.parametrize(
    ("line", "version", "upgrade"),
    [
        (b"Connection: upgrade\r\nUpgrade: H2C", b"1.1", b"h2c"),
        (b"Upgrade: h2c\r\nConnection: a,UPGRADE ,b", b"1.1", b"h2c"),
        (b"Connection: upgrade\r\nUpgrade: h2c", b"1.0", b""),
        (b"Upgrade: h2c", b"1.1", b""),
        (b"Connection: upgrade", b"1.1", b""),
        (b"Connection: upgrade\r\nUpgrade:", b"1.1", b""),
        (b"Connection: upgrade\r\nUpgrade: h2c, websocket", b"1.1", b""),
        (b"Connection: upgrade\r\nUpgrade: h2c\r\nUpgrade: websocket", b"1.1", b""),
    ],
)
def test_upgrades(twin: ModuleType, line: bytes, version: bytes, upgrade: bytes) -> None:
    assert head(twin, field(line, version)).upgrade == upgrade


@pytest.mark.parametrize(
    ("line", "version", "expects", "status"),
    [
        (b"Content-Length: 1\r\nExpect: 100-Continue", b"1.1", True, None),
        (b"Transfer-Encoding: chunked\r\nExpect: 100-continue", b"1.1", True, None),
        (b"Content-Length: 1\r\nExpect: 100-continue", b"1.0", False, None),
        (b"Content-Length: 0\r\nExpect: 100-continue", b"1.1", False, None),
        (b"Expect:", b"1.1", False, None),
        (b"Expect: 100-continue\r\nExpect: x", b"1.1", False, 417),
        (b"Expect: x\r\nExpect: 100-continue", b"1.1", False, 417),
    ],
)
def test_expectations(twin: ModuleType, line: bytes, version: bytes, expects: bool, status: int | None) -> None:
    assert refusal(twin, field(line, version)) == status
    if status is None:
        assert head(twin, field(line, version)).expect_continue is expects


@pytest.mark.parametrize(
    ("value", "status", "length"),
    [
        (b"9223372036854775807", None, 2**63 - 1),
        (b"9223372036854775808", 413, 0),
        (b"0000000000000000005", None, 5),
        (b"00000000000000000005", 431, 0),
        (b"99999999999999999999x", 400, 0),
    ],
)
def test_content_length(twin: ModuleType, value: bytes, status: int | None, length: int) -> None:
    raw = field(b"Content-Length: " + value)
    assert refusal(twin, raw) == status
    if status is None:
        assert head(twin, raw).content_length == length


@pytest.mark.parametrize(
    ("extension", "fits"),
    [
        (b";a", True),
        (b" ; a\t=\t b;c", True),
        (b';a=""', True),
        (b';a="\\"\\\\";b', True),
        (b';a="\xff;\t"', True),
        (b';a="b" ;c', True),
        (b";a ", False),
        (b";a=b ", False),
        (b';a="b" ', False),
        (b" ", False),
        (b";", False),
        (b";a=", False),
        (b";a==b", False),
        (b";a=b=c", False),
        (b";a b", False),
        (b';a"b"', False),
        (b';a="b"c', False),
        (b';a="b', False),
        (b';a="\\', False),
        (b';"a"=b', False),
        (b",a", False),
    ],
)
def test_chunk_extensions(twin: ModuleType, extension: bytes, fits: bool) -> None:
    for line in (b"1" + extension + b"\r\nx\r\n0\r\n\r\n", b"1\r\nx\r\n0" + extension + b"\r\n\r\n"):
        assert refusal(twin, CHUNKED + line) == (None if fits else 400)


def test_facts_do_not_leak_into_the_next_request(twin: ModuleType) -> None:
    first = (
        b"POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close, upgrade\r\nUpgrade: y\r\n"
        b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: u\r\n\r\n"
    )
    for second in (GET, SIZED % 1 + b"a", CHUNKED + b"0\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"):
        once = play(twin.RequestParser(), [second]).messages[0]
        assert play(twin.RequestParser(), [first + second]).messages[1] == once
        assert play(twin.RequestParser(), bytewise(first + second)).messages[1] == once


def test_header_lists_belong_to_their_requests(twin: ModuleType) -> None:
    parser = head(twin, GET + GET)
    first = parser.headers
    assert parser.next_event() == HEAD
    assert parser.headers == first
    assert parser.headers is not first
