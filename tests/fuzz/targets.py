"""What is fuzzed of every codec: functions of an input that raise where something does not hold.

`guided.py` runs them under coverage guidance, `test_targets.py` on small mutations of their seeds. The twins must
agree, input that comes in pieces must be judged as the whole, and a library that knows the format must not disagree.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hpack import Decoder
from tests.fuzz.differential import against_h11
from tests.support.http2 import (
    CONTINUATION,
    DATA,
    PADDED,
    PRIORITY,
    PRIORITY_UPDATE,
    START,
    data,
    frame,
    goaway,
    headers,
    ping,
    reset,
    settings,
    window_update,
)
from tests.wire import over_primitives, play, twins, websocket_frames

from hypercorn.net import proxies
from hypercorn.runtime import proxy
from hypercorn.wire import deflate, http2_events, http2_writer, http3

FRAMES = twins.both("hypercorn.wire.http2")
LINES = twins.both("hypercorn.logs.access_json")
PURE_MODULES = [*twins.PURE_CODEC, FRAMES["pure"], LINES["pure"]]
PURE_MODULES += [
    each["pure"] for each in (over_primitives.HPACK, over_primitives.WEBSOCKET, over_primitives.PRIMITIVES)
]
BLOCK = b"\x82\x86\x84\x41\x01a\x40\x01x\x01y\xbe\x10\x01z\x83\x1d\x81\x7f"  # indexed, literal, kept, Huffman


def pieces(octets: bytes) -> list[bytes]:
    """An input cut up in a way that it tells itself: a piece as long as its first byte says, and one more."""
    found, at = [], 0
    while at < len(octets):
        size = 1 + octets[at] % 29
        found.append(octets[at : at + size])
        at += size
    return found


def same(outcomes: Iterable[Any]) -> None:
    """Raises AssertionError where they differ."""
    first, *others = outcomes
    for other in others:
        assert other == first, f"{other}\n  is not\n{first}"


def http1(octets: bytes) -> None:
    """Requests, by both twins, whole and in pieces, and by h11."""
    records = [
        play.play(module.RequestParser(), parts)
        for module in twins.TWINS.values()
        for parts in ([octets], pieces(octets))
    ]
    same(records)
    difference = against_h11(octets, records[0])
    assert difference is None, difference
    same(play.play(module.RequestParser(64, 80, 3), [octets]) for module in twins.TWINS.values())
    thrice = octets * 3  # the third time, field lines are remembered
    same(play.play(module.RequestParser(memory=module.FieldMemory()), [thrice]) for module in twins.TWINS.values())


def written_fields(octets: bytes) -> list[tuple[bytes, bytes]]:
    """Fields of a response: lines of an input, taken apart at the first colon that does not begin one."""
    return [(line[:1] + name, value) for line in octets.split(b"\n") for name, _, value in [line[1:].partition(b":")]]


def http1_write(octets: bytes) -> None:
    """Fields of an application, by both twins; h11's rules hold for what is written."""
    fields = written_fields(octets)
    for omit in (False, True):
        outcomes: list[Any] = []
        for module in twins.TWINS.values():
            encoder = module.FieldEncoder()
            try:
                lines: Any = encoder.encode(fields, omit)
            except ValueError as error:
                lines = str(error)
            outcomes.append((lines, encoder.has_date, encoder.has_server, encoder.close, encoder.content_length))
        if isinstance(outcomes[0][0], str):
            outcomes = [one[0] for one in outcomes]
        same(outcomes)
    trimmed = [(name.strip(b" \t"), value.strip(b" \t")) for name, value in fields]
    for line in lines.split(b"\r\n")[:-1] if isinstance(lines, bytes) else ():
        assert line.partition(b": ")[::2] in trimmed


def http2_write(octets: bytes) -> None:
    """Fields of an application on HTTP/2, read back by the library; the second head profits from the first's table.
    HTTP/3 takes the same ones."""
    table, writer, decoder = http2_writer.FieldLines(), http2_writer.FrameWriter(), Decoder()
    fields = written_fields(octets)
    try:
        lines = table.check(fields)
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error))):
            http3.FieldPairs().check(fields)
        return
    pairs = http3.FieldPairs().check(fields)
    for stream in (1, 3):
        writer.headers(stream, table.status(200), lines, [], True)
        sent = writer.take()
        size = int.from_bytes(sent[:3], "big")
        if size + 9 < len(sent):  # continued: too long for what is fuzzed here
            return
        read = decoder.decode(sent[9:], raw=True)
        assert [(bytes(name), bytes(value)) for name, value in read[1:]] == pairs


def hpack(octets: bytes) -> None:
    """Header blocks: the first byte is the length of the first of two, which share a table."""
    size = octets[0] if octets else 0
    outcomes = []
    for module in over_primitives.HPACK.values():
        decoder, said = module.HeaderDecoder(256), []
        for block in (octets[1 : 1 + size], octets[1 + size :]):
            fields = decoder.decode(block, 500, 5)
            if fields is None:
                said.append(None)
                break
            said.append(([(one.pair, one.flawed, one.size, one.kind) for one in fields], decoder.oversize))
        outcomes.append(said)
    same(outcomes)


def read_http2(module: ModuleType, parts: list[bytes]) -> list[Any]:
    """All events of a connection; DATA that follows on DATA of the same stream is one."""
    parser, said = module.FrameParser(1000, 500, 5), []
    for part in parts:
        parser.feed(part)
        while (event := parser.next_event()) != http2_events.NEED_DATA:
            facts: list[Any] = [event, parser.stream_id]
            if event == http2_events.HEADERS:
                facts += [[one.pair for one in parser.fields], parser.oversize, parser.end_stream]
            elif event == http2_events.DATA:
                facts += [bytes(parser.data), parser.length, parser.end_stream]
            elif event == http2_events.SETTINGS:
                facts.append(dict(parser.settings))
            elif event in (http2_events.PING, http2_events.PRIORITY_UPDATE):
                facts.append(bytes(parser.data))
            elif event == http2_events.ERROR:
                said.append((parser.error_code, parser.reason))
                return said
            elif event in (http2_events.WINDOW_UPDATE, http2_events.RESET, http2_events.STREAM_ERROR):
                facts.append(parser.value)
            said.append(facts)
    said.append(parser.partial)
    return said


def http2(octets: bytes) -> None:
    """Frames behind the preface, by both builds, whole and in pieces."""
    whole = START + octets
    same(read_http2(module, parts) for module in FRAMES.values() for parts in ([whole], [START, *pieces(octets)]))
    same(read_http2(module, [octets]) for module in FRAMES.values())


def http3_frames(octets: bytes) -> None:
    """Frames of a stream, whole and in pieces; settings."""
    outcomes = []
    for parts in ([octets], pieces(octets) or [b""]):
        reader, said, body = http3.FrameReader(http3.ON_REQUESTS | http3.ON_CONTROL, 100), [], b""
        failed = False
        for part in parts:
            reader.feed(part, False)
            while not failed and (kind := reader.next()) != http3.NEED_DATA:
                if kind == http3.F_DATA:
                    body += reader.payload
                    continue
                said.append((kind, body, reader.payload if kind >= 0 else reader.reason))
                body, failed = b"", kind == http3.ERROR
        outcomes.append((said, body, failed or reader.partial))
    same(outcomes)
    found = http3.read_settings(octets)
    if found is not None:
        written = http3.settings_frame(found.items())
        _, at = http3.read_varint(written, 1)  # behind type and length
        assert http3.read_settings(written[at:]) == found


def websocket(octets: bytes) -> None:
    """Frames of a client, by both twins, whole and in pieces."""
    for limit in (0, 50):
        same(
            websocket_frames.play(module.FrameParser(limit, limit), parts)
            for module in websocket_frames.TWINS.values()
            for parts in ([octets], pieces(octets))
        )


def compressed(octets: bytes) -> None:
    """A compressed message, whole and in pieces, bounded; and the offer of the extension."""
    outcomes = []
    for parts in ([octets], pieces(octets)):
        extension = deflate.Deflate(deflate.Compression.of({}) or deflate.Compression(), 15, 15, False, False)
        try:
            for part in parts[:-1]:
                extension.inflate_piece(part, 5000)
            content: Any = extension.inflate(parts[-1] if parts else b"", 5000)
            assert len(content) <= 5000
        except (deflate.MessageTooLarge, deflate.InflateError) as error:
            content = type(error)
        outcomes.append(content)
    # Where a stream is broken behind its bound, the one or the other is told first.
    if not all(isinstance(one, type) for one in outcomes):
        same(outcomes)
    for name, _ in deflate.read_offers([octets]):
        assert name == name.strip(b" \t")


def log_line(octets: bytes) -> None:
    """A line of the access log is JSON that says what came, in both builds."""
    path, _, rest = octets.partition(b"?")
    scope = {
        "headers": [(b"host", rest), (b"user-agent", octets), (b"x-request-id", path)],
        "client": None,
        "scheme": "http",
        "raw_path": path,
        "query_string": rest,
        "http_version": "1.1",
    }
    for module in LINES.values():
        line = module.JSONLines().line(scope, 200, [], 5, 0.25)
        assert line.isascii()
        assert not any(mark in line for mark in "\r\n")
        said = json.loads(line)
        assert (said["path"], said["query"]) == (path.decode("latin-1"), rest.decode("latin-1"))
        assert said["user_agent"] == octets.decode("latin-1")


def proxy_header(octets: bytes) -> None:
    """The PROXY protocol: what was judged stays so with more behind it; forwarded fields never raise."""
    first: Any = None
    for size in range(len(octets) + 1):
        try:
            found: Any = proxy.read_header(octets[:size])
        except ValueError:
            found = "refused"
        assert first is None or found == first, (size, first, found)
        first = found
    text = octets.decode("latin-1")
    for element in proxies.elements_from_right(text):
        proxies.read_pairs(element)
    proxies.parse_node(text)
    proxies.read_host(text)
    proxies.read_prefix(text)


class Target(NamedTuple):
    """What is called, and inputs to begin with."""

    call: Callable[[bytes], None]
    seeds: list[bytes]


def _squeezed(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush(zlib.Z_SYNC_FLUSH)[:-4]


def _finished(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def _http1_seeds() -> list[bytes]:
    from tests.wire.cases import load

    return [case.raw for case in load() if 0 < len(case.raw) < 1500]


FIELDS = [
    b"a:b\nContent-Length:5\nconnection:close, x\nX-Y: \tz ",
    b"date:1\nServer:x\ntransfer-encoding:chunked\nset-cookie:a=b\n:status:200",
]
TARGETS: dict[str, Target] = {
    "http1": Target(http1, _http1_seeds()),
    "http1_write": Target(http1_write, FIELDS),
    "http2_write": Target(http2_write, FIELDS),
    "hpack": Target(hpack, [bytes((len(BLOCK),)) + BLOCK + BLOCK, b"\x02\x3f\x50\x82", b"\x05\x00\x01A\x01b\x20"]),
    "http2": Target(
        http2,
        [
            settings() + headers(1, [(b":method", b"GET"), (b":path", b"/"), (b":scheme", b"http")]),
            settings() + headers(1, [(b"a", b"b")], end=False) + data(1, b"hello", end=True),
            settings() + window_update(0, 5) + ping() + reset(1) + goaway(),
            settings((4, 100)) + frame(PRIORITY, 0, 3, bytes(5)) + frame(PRIORITY_UPDATE, 0, 0, bytes(3) + b"\x01u=1"),
            settings() + frame(DATA, PADDED, 1, b"\x02abc\0\0") + frame(CONTINUATION, 4, 1, BLOCK),
        ],
    ),
    "http3": Target(
        http3_frames,
        [
            http3.settings_frame([(1, 0), (6, 100)]),
            http3.frame(1, b"abc") + http3.frame(0, b"hello") + b"\x40\x21\x02ab",
        ],
    ),
    "websocket": Target(
        websocket,
        [
            websocket_frames.frame(1, "é".encode() * 20) + websocket_frames.close(1000, b"bye"),
            websocket_frames.frame(2, b"a" * 200, fin=False) + websocket_frames.frame(0, b"b"),
            websocket_frames.frame(9, b"ping") + websocket_frames.frame(10),
        ],
    ),
    "deflate": Target(
        compressed,
        [
            _squeezed(b"hello " * 50), _squeezed(bytes(20_000)), _finished(b"x"),
            b'permessage-deflate; client_max_window_bits="10"; server_no_context_takeover, x',
        ],
    ),
    "accessjson": Target(log_line, [b"/a?b=c", b"/\xff\"\\\x00?\n", b"\x7f\x80"]),
    "proxy": Target(
        proxy_header,
        [
            b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12),
            b'for="[2001:db8::1]:80";proto=https;host=a;by=_x, for=192.0.2.7',
        ],
    ),
}  # fmt: skip
