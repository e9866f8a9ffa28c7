"""From the bytes of a connection to events: heads, pieces of bodies, frames. By h11, hyperframe, hpack and wsproto.

Contents of bodies and messages are left out: their sizes are there. Where a decoder gives up (a peer that breaks a
protocol is what traces are made for), the rest of that direction is told by its first bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import h11
import hpack
import hyperframe.frame
from h2.errors import ErrorCodes
from hyperframe.exceptions import HyperframeError
from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameDecoder, ParseFailed, RsvBits

Event = dict[str, object]
Fields = list[tuple[str, str]]
IN, OUT = "in", "out"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"  # RFC 9113 section 3.4
MAX_HEAD_BYTES = 1024 * 1024  # bytes of a head that h11 waits for
EXCERPT_BYTES = 60  # bytes that are shown of what no decoder understands
FRAME_HEAD_BYTES = 9  # RFC 9113 section 4.1


def text_of(headers: object) -> Fields:
    """Header fields as text."""
    found: Fields = []
    for name, value in headers:  # type: ignore[attr-defined]
        parts = [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in (name, value)]
        found.append((parts[0], parts[1]))
    return found


class Decoder(Protocol):
    """One protocol on one connection."""

    def feed(self, way: str, data: bytes) -> Iterator[Event]:
        """Takes bytes that went one way, IN or OUT. Raises ValueError and the like for what it does not understand."""


class ConnectionDecoder:
    """All that a connection carries, whatever it changes to."""

    def __init__(self) -> None:
        self.decoder: Decoder | None = None
        self.failed: set[str] = set()
        self.first = b""

    def feed(self, way: str, data: bytes) -> Iterator[Event]:
        """Takes bytes that went one way. Gives what they mean, and raises nothing."""
        if way in self.failed:
            yield unknown(way, data)
            return
        try:
            yield from self.decode(way, data)
        except Exception as error:
            self.failed.add(way)
            # What a library says may have a piece of the data in it.
            yield {"way": way, "what": "not understood", "error": type(error).__name__, "excerpt": str(error)[:200]}
            yield unknown(way, data)

    def decode(self, way: str, data: bytes) -> Iterator[Event]:
        """Chooses the decoder by the first bytes of the client."""
        if self.decoder is None:
            if way == OUT:  # HTTP/2 over TLS: the server's settings may come first
                self.decoder = HTTP2Decoder()
            else:
                self.first += data
                if len(self.first) < len(PREFACE) and PREFACE.startswith(self.first):
                    return
                data = self.first
                self.decoder = HTTP2Decoder() if data.startswith(PREFACE) else HTTP1Decoder()
        yield from self.decoder.feed(way, data)
        if isinstance(self.decoder, HTTP1Decoder) and self.decoder.successor is not None:
            rests = self.decoder.rests
            self.decoder = self.decoder.successor
            for direction, rest in rests.items():
                if rest:
                    yield from self.decoder.feed(direction, rest)


def unknown(way: str, data: bytes) -> Event:
    """Bytes that no decoder understands, by their beginning, which may be a secret."""
    return {"way": way, "what": "bytes", "size": len(data), "excerpt": repr(data[:EXCERPT_BYTES])}


class HTTP1Decoder:
    """HTTP/1.1 (RFC 9112). Each direction follows the other one, as a response's length depends on its request."""

    def __init__(self) -> None:
        self.client = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)  # reads what the client sends
        self.server = h11.Connection(h11.CLIENT, MAX_HEAD_BYTES)  # ... the server
        self.successor: Decoder | None = None
        self.rests: dict[str, bytes] = {}

    def feed(self, way: str, data: bytes) -> Iterator[Event]:
        reader = self.client if way == IN else self.server
        reader.receive_data(data)
        while self.successor is None:
            event = self.next_event(way)
            if event is None:
                return
            yield {"way": way, "protocol": "HTTP/1.1", **event}
        self.rests = {IN: self.client.trailing_data[0], OUT: self.server.trailing_data[0]}

    def next_event(self, way: str) -> Event | None:
        """The next event of one direction, which the other is told."""
        reader, follower = (self.client, self.server) if way == IN else (self.server, self.client)
        found = reader.next_event()
        if found in (h11.NEED_DATA, h11.PAUSED) or isinstance(found, h11.ConnectionClosed):
            return None
        event = self.told(found, follower)
        if isinstance(found, h11.InformationalResponse) and found.status_code == 101:
            upgrade = next((value.lower() for name, value in text_of(found.headers) if name == "upgrade"), "")
            self.successor = HTTP2Decoder() if upgrade == "h2c" else WebSocketDecoder()
        if {self.client.our_state, self.client.their_state} == {h11.DONE}:
            self.client.start_next_cycle()
            self.server.start_next_cycle()
        return event

    def told(self, found: object, follower: h11.Connection) -> Event:
        """Tells the other direction of an event. Returns it as it is shown."""
        if isinstance(found, h11.Request):
            follower.send(found)
            return {
                "what": "request",
                "method": found.method.decode("latin-1"),
                "target": found.target.decode("latin-1"),
                "version": found.http_version.decode("latin-1"),
                "headers": text_of(found.headers),
            }
        if isinstance(found, (h11.InformationalResponse, h11.Response)):
            follower.send(found)
            return {
                "what": "response",
                "status": found.status_code,
                "reason": bytes(found.reason).decode("latin-1"),
                "headers": text_of(found.headers),
            }
        if isinstance(found, h11.Data):
            follower.send(found)
            return {"what": "body", "size": len(found.data)}
        assert isinstance(found, h11.EndOfMessage)
        follower.send(h11.EndOfMessage())
        trailers = text_of(found.headers)
        return {"what": "end", "trailers": trailers} if trailers else {"what": "end"}


class HTTP2Decoder:
    """HTTP/2 (RFC 9113), frame by frame."""

    def __init__(self) -> None:
        self.buffers = {IN: bytearray(), OUT: bytearray()}
        self.hpack = {IN: hpack.Decoder(), OUT: hpack.Decoder()}
        for decoder in self.hpack.values():
            decoder.max_allowed_table_size = 1 << 24  # the trace does not enforce what the peers agree on
        self.blocks: dict[str, bytearray] = {}  # header blocks that go on in CONTINUATION
        self.preface = False

    def feed(self, way: str, data: bytes) -> Iterator[Event]:
        buffer = self.buffers[way]
        buffer += data
        if way == IN and not self.preface:
            if len(buffer) < len(PREFACE):
                return
            del buffer[: len(PREFACE)]
            self.preface = True
            yield {"way": way, "protocol": "HTTP/2", "what": "preface"}
        while len(buffer) >= FRAME_HEAD_BYTES:
            frame, length = hyperframe.frame.Frame.parse_frame_header(memoryview(bytes(buffer[:FRAME_HEAD_BYTES])))
            if len(buffer) < FRAME_HEAD_BYTES + length:
                return
            body = bytes(buffer[FRAME_HEAD_BYTES : FRAME_HEAD_BYTES + length])
            del buffer[: FRAME_HEAD_BYTES + length]
            event: Event = {"way": way, "protocol": "HTTP/2", "what": "frame", "stream": frame.stream_id}
            event["size"] = length
            event["frame"] = type(frame).__name__.removesuffix("Frame")
            try:
                frame.parse_body(memoryview(body))
                event.update(self.details(way, frame))
            except (HyperframeError, hpack.HPACKError, ValueError) as error:
                event["error"] = f"{type(error).__name__}: {error}"[:200]
            if frame.flags:
                event["flags"] = sorted(frame.flags)
            yield event

    def details(self, way: str, frame: hyperframe.frame.Frame) -> Event:
        """What is in a frame."""
        if isinstance(
            frame,
            (hyperframe.frame.HeadersFrame, hyperframe.frame.PushPromiseFrame, hyperframe.frame.ContinuationFrame),
        ):
            block = self.blocks.setdefault(way, bytearray())
            block += frame.data
            if "END_HEADERS" not in frame.flags:
                return {}
            del self.blocks[way]
            return {"headers": text_of(self.hpack[way].decode(bytes(block), raw=True))}
        if isinstance(frame, hyperframe.frame.SettingsFrame):
            return {"settings": {hyperframe_setting(key): value for key, value in frame.settings.items()}}
        if isinstance(frame, hyperframe.frame.WindowUpdateFrame):
            return {"increment": frame.window_increment}
        if isinstance(frame, hyperframe.frame.RstStreamFrame):
            return {"code": error_name(frame.error_code)}
        if isinstance(frame, hyperframe.frame.GoAwayFrame):
            return {"code": error_name(frame.error_code), "last": frame.last_stream_id}
        return {}


SETTINGS = {
    1: "HEADER_TABLE_SIZE",
    2: "ENABLE_PUSH",
    3: "MAX_CONCURRENT_STREAMS",
    4: "INITIAL_WINDOW_SIZE",
    5: "MAX_FRAME_SIZE",
    6: "MAX_HEADER_LIST_SIZE",
    8: "ENABLE_CONNECT_PROTOCOL",
    9: "NO_RFC7540_PRIORITIES",
}


def hyperframe_setting(number: int) -> str:
    """The name of a setting (RFC 9113 section 6.5.2)."""
    return SETTINGS.get(number, f"{number:#x}")


def error_name(code: int) -> str:
    """The name of an error code (RFC 9113 section 7)."""
    try:
        return ErrorCodes(code).name
    except ValueError:
        return f"{code:#x}"


class AnyExtension(Extension):
    """Takes the reserved bits of any extension: its payloads are not read."""

    name = "any"

    def offer(self) -> bool:
        return False

    def frame_inbound_header(self, *_: object) -> RsvBits:
        return RsvBits(True, True, True)


class WebSocketDecoder:
    """WebSocket (RFC 6455), frame by frame. Sizes are those on the wire, compressed or not."""

    def __init__(self) -> None:
        self.decoders = {
            IN: FrameDecoder(client=False, extensions=[AnyExtension()]),
            OUT: FrameDecoder(client=True, extensions=[AnyExtension()]),
        }
        self.begun: dict[str, tuple[int, bytes]] = {}  # size and first bytes of a frame that came in pieces

    def feed(self, way: str, data: bytes) -> Iterator[Event]:
        decoder = self.decoders[way]
        decoder.receive_bytes(data)
        while True:
            try:
                frame = decoder.process_buffer()
            except ParseFailed as error:
                raise ValueError(str(error)) from None
            if frame is None:
                return
            payload = bytes(frame.payload) if isinstance(frame.payload, (bytes, bytearray)) else b""
            size, first = self.begun.pop(way, (0, b""))
            size, first = size + len(payload), (first + payload[:2])[:2]
            if not frame.frame_finished:
                self.begun[way] = size, first
                continue
            event: Event = {"way": way, "protocol": "WebSocket", "what": "frame", "frame": frame.opcode.name}
            event["size"] = size
            if frame.opcode.name == "CLOSE" and len(first) == 2:
                event["code"] = int.from_bytes(first, "big")
            if not frame.message_finished:
                event["flags"] = ["more"]
            yield event
