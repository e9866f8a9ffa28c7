"""HTTP/2 conversations that hypothesis makes up, held by this server and by the server of the h2 library.

The client is h2's too: it reads all that this server writes, and raises for what is wrong. In a conversation without
raw frames both servers must see the same requests to the last trailer field. With raw frames mixed in, what this one
hands to its application is what h2 has seen as well; this server may be stricter, never more generous.
"""

from __future__ import annotations

from typing import Any

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.harness import body, start
from tests.support.http2 import H2, frame

Op = tuple[Any, ...]
NAMES = st.sampled_from(["a", "x-long-name", "accept", "user-agent", "cache-control", "x-id"])
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
FIELDS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
TRAILERS = st.lists(st.tuples(st.sampled_from(["a", "x-b"]), VALUES), max_size=3)
STREAMS = st.sampled_from([0, 0, 0, 0, 1, 1, 2, 3])
OCTETS = st.binary(max_size=3000)
SENSIBLE: list[st.SearchStrategy[Op]] = [
    st.tuples(st.just("open"), FIELDS, st.just(False)),
    st.tuples(st.just("open"), FIELDS, st.booleans()),
    st.tuples(st.just("data"), STREAMS, OCTETS, st.booleans(), st.one_of(st.none(), st.integers(0, 255))),
    st.tuples(st.just("data"), STREAMS, OCTETS, st.just(True), st.none()),
    st.tuples(st.just("trailers"), STREAMS, TRAILERS),
    st.tuples(st.just("reset"), STREAMS),
    st.tuples(st.just("ping"), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just("window"), STREAMS, st.integers(1, 100_000)),
    st.tuples(st.just("table"), st.sampled_from([0, 100, 4096, 65536])),
    st.tuples(st.just("frames"), st.sampled_from([16384, 20000])),
]
RAW: st.SearchStrategy[Op] = st.tuples(
    st.just("raw"),
    st.one_of(st.integers(0, 9), st.just(16), st.integers(0, 255)),
    st.one_of(st.sampled_from([0, 1, 4, 5, 8, 9, 12, 13, 32, 37]), st.integers(0, 255)),
    st.integers(0, 16),
    st.one_of(
        st.binary(max_size=40), st.sampled_from([bytes(4), bytes(5), bytes(6), bytes(8), b"\x82\x84\x86\x41\x01a"])
    ),
)


class Application:
    """Reads whole requests and answers them; keeps what it saw by their number."""

    def __init__(self) -> None:
        self.whole: dict[str, tuple[list[Any], bytes, list[Any]]] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        content = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content += message["body"]
            if not message["more_body"]:
                break
        fields = [pair for pair in scope["headers"] if pair[0] != b"host"]
        self.whole[scope["path"]] = (fields, content, message.get("trailers", []))
        await send(start())
        await send(body(b"seen"))


class Library:
    """The server of the h2 library: the same notes, taken from its events."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.local_settings = h2.settings.Settings(
            client=False, initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 100}
        )
        self.connection.initiate_connection()
        self.connection.increment_flow_control_window(4_000_000)
        self.open: dict[int, tuple[str, list[Any], bytearray, list[Any]]] = {}
        self.whole: dict[str, tuple[list[Any], bytes, list[Any]]] = {}
        self.failed = False

    def take(self, octets: bytes) -> None:
        if self.failed:
            return
        try:
            events = self.connection.receive_data(octets)
        except h2.exceptions.ProtocolError:
            self.failed = True
            return
        for event in events:
            self.note(event)

    def note(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            pseudo = dict(event.headers)
            fields = [(bytes(name), bytes(value)) for name, value in event.headers if name[:1] != b":"]
            self.open[event.stream_id] = (pseudo.get(b":path", b"").decode("latin-1"), fields, bytearray(), [])
        elif isinstance(event, h2.events.DataReceived):
            self.open[event.stream_id][2].extend(event.data)
            if event.flow_controlled_length and event.stream_ended is None:
                self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.open[event.stream_id][3].extend((bytes(name), bytes(value)) for name, value in event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            path, fields, content, trailers = self.open.pop(event.stream_id)
            self.whole[path] = (fields, bytes(content), trailers)
        elif isinstance(event, h2.events.StreamReset):
            self.open.pop(event.stream_id, None)


class Client:
    """The client of the h2 library, doing what it is told where its own state allows."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=None)
        self.connection = h2.connection.H2Connection(config)
        self.connection.initiate_connection()
        self.streams: list[int] = []
        self.raw = False

    def do(self, op: Op) -> bytes:
        try:
            getattr(self, op[0])(*op[1:])
        except (h2.exceptions.ProtocolError, LookupError):
            pass  # not now
        return bytes(self.connection.data_to_send())

    def open(self, fields: list[tuple[str, str]], end: bool) -> None:
        number = self.connection.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "http"), (":path", f"/{number}"), (":authority", "a")]
        self.connection.send_headers(number, [*pseudo, *fields], end_stream=end)
        self.streams.append(number)

    def data(self, which: int, octets: bytes, end: bool, padding: int | None) -> None:
        self.connection.send_data(self.streams[-1 - which], octets, end_stream=end, pad_length=padding)

    def trailers(self, which: int, fields: list[tuple[str, str]]) -> None:
        self.connection.send_headers(self.streams[-1 - which], fields or [("a", "b")], end_stream=True)

    def reset(self, which: int) -> None:
        self.connection.reset_stream(self.streams[-1 - which], h2.errors.ErrorCodes.CANCEL)

    def ping(self, octets: bytes) -> None:
        self.connection.ping(octets)

    def window(self, which: int, size: int) -> None:
        self.connection.increment_flow_control_window(size, self.streams[-1 - which] if which else None)

    def table(self, size: int) -> None:
        self.connection.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})

    def frames(self, size: int) -> None:
        self.connection.update_settings({h2.settings.SettingCodes.MAX_FRAME_SIZE: size})


def converse(ops: list[Op]) -> tuple[Application, Library, H2, Client]:
    """Holds one conversation with both servers."""
    app, library, client = Application(), Library(), Client()
    ours = H2(app, start=b"", keep_alive_max_requests=10**6)
    for op in ops:
        if op[0] == "raw":
            client.raw = True
            octets = bytes(client.connection.data_to_send()) + frame(*op[1:])
        else:
            octets = client.do(op)
        library.take(octets)
        before = set(app.whole)
        ours.client.send(octets)
        if library.failed and client.raw:
            for late in set(app.whole) - before:  # h2 says no more of it
                del app.whole[late]
            break
        written = ours.client.received()
        ours.reader.feed(written)
        if not client.raw:
            client.connection.receive_data(written)
    return app, library, ours, client


@settings(max_examples=120, deadline=None)
@given(st.lists(st.one_of(SENSIBLE), min_size=15, max_size=50))
def test_sensible_conversations(ops: list[Op]) -> None:
    """Both servers see the same, and every whole request is answered."""
    app, library, ours, client = converse(ops)
    assert not library.failed
    assert ours.goaway is None
    assert app.whole == library.whole
    for number in client.streams:
        if f"/{number}" in app.whole:
            assert ours.reader.answers[number].body == b"seen"
    assert ours.client.errors == []


@settings(max_examples=250, deadline=None)
@given(st.lists(st.one_of(*SENSIBLE, RAW), min_size=8, max_size=25))
def test_conversations_with_raw_frames(ops: list[Op]) -> None:
    """Nothing reaches the application that h2 would not have let pass, and nothing breaks the server."""
    app, library, ours, _ = converse(ops)
    for path, seen in app.whole.items():
        assert library.whole.get(path) == seen
    assert ours.client.errors == []
    ours.client.disconnect()
    ours.server.runtime.advance(1)
    assert not ours.server.runtime.tasks
