"""HTTP/2 as a client by hand: frames, a strict reader of what the server sends, and a peer of a server in memory.

Header blocks of the client are literals without indexing unless a test gives its own; those of the server are
decoded by the `hpack` package, which raises for what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import hpack

from hypercorn.config import Config
from hypercorn.testing import Client, MemoryServer

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
PRIORITY_UPDATE = 16
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITIZED = 1, 1, 4, 8, 32
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(6, 12)

Fields = list[tuple[bytes, bytes]]
GET: Fields = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"a")]
POST: Fields = [(b":method", b"POST"), *GET[1:]]


class Frame(NamedTuple):
    """A frame that was received."""

    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The payload's last four bytes: an error code, or an increment."""
        return int.from_bytes(self.payload[-4:], "big")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def integer(value: int, prefix: int, first: int = 0) -> bytes:
    """RFC 7541 section 5.1."""
    top = (1 << prefix) - 1
    if value < top:
        return bytes((first | value,))
    out = [first | top]
    value -= top
    while value >= 128:
        out.append(value % 128 + 128)
        value //= 128
    return bytes((*out, value))


@lru_cache(4096)  # floods send the same ones very often
def literal(name: bytes, value: bytes, first: int = 0) -> bytes:
    """A field with a literal name. `first`: 0, 0x10 (never indexed) or 0x40 (with indexing)."""
    return bytes((first,)) + integer(len(name), 7) + name + integer(len(value), 7) + value


def block(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def headers(stream: int, fields: Iterable[tuple[bytes, bytes]] = GET, end: bool = True) -> bytes:
    return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block(fields))


def data(stream: int, payload: bytes = b"", end: bool = False) -> bytes:
    return frame(DATA, END_STREAM if end else 0, stream, payload)


def reset(stream: int, code: int = CANCEL) -> bytes:
    return frame(RST_STREAM, 0, stream, code.to_bytes(4, "big"))


def window_update(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(name.to_bytes(2, "big") + value.to_bytes(4, "big") for name, value in pairs))


def ping(payload: bytes = b"12345678", ack: bool = False) -> bytes:
    return frame(PING, ACK if ack else 0, 0, payload)


def goaway(last: int = 0, code: int = NO_ERROR, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


SETTINGS_ACK = frame(SETTINGS, ACK)
START = PREFACE + settings()


class Answer:
    """What came on one stream."""

    def __init__(self) -> None:
        self.interim: list[Fields] = []
        self.headers: Fields = []
        self.trailers: Fields | None = None
        self.body = b""
        self.pieces: list[int] = []
        self.ended = False
        self.reset: int | None = None

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None

    @property
    def status(self) -> int:
        return int(dict(self.headers)[b":status"]) if self.headers else 0

    def get(self, name: bytes) -> bytes | None:
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, f"{name!r} twice"
        return values[0] if values else None


class Reader:
    """Reads what a server sends, and fails where a server must not send it (RFC 9113)."""

    def __init__(self, max_frame_size: int = 16384) -> None:
        self.decoder = hpack.Decoder()
        self.rest = b""
        self.max_frame_size = max_frame_size
        self.frames: list[Frame] = []
        self.answers: dict[int, Answer] = {}
        self.promised: dict[int, tuple[int, Fields]] = {}
        self.settings: dict[int, int] = {}
        self.goaways: list[tuple[int, int]] = []
        self.windows: dict[int, int] = {}
        self.open_block: tuple[int, int, int] | None = None
        self.fragment = b""

    def feed(self, received: bytes) -> list[Frame]:
        """The frames in it."""
        self.rest += received
        new: list[Frame] = []
        while len(self.rest) >= 9:
            length = int.from_bytes(self.rest[:3], "big")
            assert length <= self.max_frame_size, "a frame is larger than the client allows"
            if len(self.rest) < 9 + length:
                break
            stream = int.from_bytes(self.rest[5:9], "big")
            assert stream < 1 << 31, "a reserved bit is set"
            one = Frame(self.rest[3], self.rest[4], stream, self.rest[9 : 9 + length])
            self.rest = self.rest[9 + length :]
            if not self.frames:
                assert one.kind == SETTINGS, "the server's preface is SETTINGS"
            self.frames.append(one)
            new.append(one)
            self.take(one)
        return new

    def take(self, one: Frame) -> None:
        if self.open_block is not None:
            assert (one.kind, one.stream) == (CONTINUATION, self.open_block[1]), "a header block is interrupted"
            self.fragment += one.payload
            if one.flags & END_HEADERS:
                self.end_block(*self.open_block)
        elif one.kind in (HEADERS, PUSH_PROMISE):
            self.fragment = one.payload
            if one.flags & END_HEADERS:
                self.end_block(one.kind, one.stream, one.flags)
            else:
                self.open_block = (one.kind, one.stream, one.flags)
        elif one.kind == DATA:
            answer = self.answers[one.stream]
            assert not answer.over, "DATA on a stream that the server ended"
            assert answer.headers, "DATA without a head"
            assert answer.trailers is None, "DATA behind trailers"
            answer.body += one.payload
            answer.pieces.append(len(one.payload))
            answer.ended = bool(one.flags & END_STREAM)
        elif one.kind == RST_STREAM:
            self.answers.setdefault(one.stream, Answer()).reset = one.number
        elif one.kind == GOAWAY:
            last = int.from_bytes(one.payload[:4], "big")
            assert not self.goaways or last <= self.goaways[-1][0], "GOAWAY goes up again"
            self.goaways.append((last, int.from_bytes(one.payload[4:8], "big")))
        elif one.kind == WINDOW_UPDATE:
            assert one.number, "a window update of nothing"
            self.windows[one.stream] = self.windows.get(one.stream, 0) + one.number
        elif one.kind == SETTINGS and not one.flags & ACK:
            for at in range(0, len(one.payload), 6):
                name = int.from_bytes(one.payload[at : at + 2], "big")
                self.settings[name] = int.from_bytes(one.payload[at + 2 : at + 6], "big")

    def end_block(self, kind: int, stream: int, flags: int) -> None:
        self.open_block = None
        if kind == PUSH_PROMISE:
            promised = int.from_bytes(self.fragment[:4], "big")
            self.promised[promised] = (stream, self.decode(self.fragment[4:]))
            return
        fields = self.decode(self.fragment)
        answer = self.answers.setdefault(stream, Answer())
        assert not answer.over, "HEADERS on a stream that the server ended"
        assert all(name == name.lower() for name, _ in fields), "a field name in upper case"
        assert not {b"connection", b"transfer-encoding", b"keep-alive", b"upgrade"} & dict(fields).keys()
        end = bool(flags & END_STREAM)
        if answer.headers:
            assert end, "trailers that do not end the stream"
            assert not any(name[:1] == b":" for name, _ in fields)
            answer.trailers = fields
        else:
            assert fields[0][0] == b":status"
            assert sum(name[:1] == b":" for name, _ in fields) == 1
            if fields[0][1][:1] == b"1":
                assert not end, "an interim response ends nothing"
                answer.interim.append(fields)
                return
            answer.headers = fields
        answer.ended = end

    def decode(self, fragment: bytes) -> Fields:
        return [(bytes(name), bytes(value)) for name, value in self.decoder.decode(fragment, raw=True)]


class H2:
    """A client of a server in memory that speaks HTTP/2 with prior knowledge."""

    def __init__(
        self,
        app: Any,
        *,
        start: bytes = START + SETTINGS_ACK,
        eager: bool = True,
        server: MemoryServer | None = None,
        **options: Any,
    ) -> None:
        config = Config()
        for name, value in options.items():
            assert hasattr(config, name), name
            setattr(config, name, value)
        self.server = server or MemoryServer(app, config, eager=eager)
        self.client: Client = self.server.connect()
        self.reader = Reader()
        if start:
            self.send(start)

    def send(self, *frames: bytes, size: int = 0) -> list[Frame]:
        """Sends frames in one write, and gives the frames that came since."""
        self.client.send(b"".join(frames), size=size)
        return self.receive()

    def receive(self) -> list[Frame]:
        return self.reader.feed(self.client.received())

    def advance(self, seconds: float) -> list[Frame]:
        self.client.advance(seconds)
        return self.receive()

    def answer(self, stream: int = 1) -> Answer:
        self.receive()
        return self.reader.answers.setdefault(stream, Answer())

    @property
    def connection(self) -> Any:
        return self.client.transport.connection

    @property
    def goaway(self) -> int | None:
        """The code of the last GOAWAY."""
        self.receive()
        return self.reader.goaways[-1][1] if self.reader.goaways else None

    @property
    def over(self) -> bool:
        """The server has ended the connection, or its own half of it."""
        return self.client.closed or self.client.half_closed

    def alive(self) -> bool:
        """Another request is answered."""
        stream = self.connection.last_id + 2 if self.connection.last_id else 1
        self.send(headers(stream | 1))
        return self.answer(stream | 1).status != 0
