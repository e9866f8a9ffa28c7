"""The rows of the HTTP/2 abuse list that `test_http2_live.py` has not: clocks, windows, header blocks and life cycles,
by hand-made frames against live servers on every loop. And the check that no row of the list is without a test."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compliance.test_http2_live import Conversation
from tests.support.http2 import (
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    GET,
    HEADERS,
    INTERNAL_ERROR,
    NO_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    SETTINGS_ACK,
    SETTINGS_TIMEOUT,
    START,
    block,
    data,
    frame,
    goaway,
    headers,
    literal,
    ping,
    reset,
    settings,
    window_update,
)
from tests.support.live import BACKENDS, DRIVERS, Live, body_of, eventually, pause, respond
from tests.support.peer import request

ROOT = Path(__file__).resolve().parents[1]
LARGE = 300_000


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/size counts the body, /deaf reads nothing for long, /early answers before it, /large gives much."""
    path = scope["path"]
    try:
        if path == "/size":
            await respond(send, b"%d" % len(await body_of(receive)))
        elif path == "/deaf":
            await pause(30)
        elif path == "/slow":
            await pause(0.05)
            await respond(send, b"slow")
        elif path == "/large":
            await respond(send, bytes(LARGE))
        elif path == "/broken":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"some", "more_body": True})
            raise ValueError("on purpose")
        elif path == "/split":
            await respond(send, b"", headers=[(b"x", b"a\r\nb: c")])
        elif path == "/scope":
            fields = b",".join(name for name, _ in scope["headers"])
            await respond(send, scope["raw_path"] + b" " + fields)
        else:
            await respond(send, b"fine")
    except ConnectionError:
        pass  # the client is gone


def to(path: bytes, method: bytes = b"GET", *more: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(b":method", method), GET[1], (b":path", path), GET[3], *more]


class Servers:
    """A server on each loop, over the reactor and over the loop's own transports."""

    def __init__(self, **options: Any) -> None:
        self.running = [
            Live(app, backend, lifespan="off", runtime=driver, linger_timeout=0.5, **options)
            for backend in BACKENDS
            for driver in DRIVERS
        ]

    def clients(self, start: bytes = START + SETTINGS_ACK, **options: Any) -> Iterator[Conversation]:
        """A client of each in turn; afterwards a fresh one is served."""
        for live in self.running:
            yield Conversation(live.connect(**options), start)
            fresh = Conversation(live.connect())
            fresh.send(headers(1))
            assert fresh.answer(1).body == b"fine"

    def stop(self) -> None:
        for live in self.running:
            live.wake()
        for live in self.running:
            live.stop()


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    made = Servers(keep_alive_max_requests=10**9)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def hasty() -> Iterator[Servers]:
    """Servers with short times."""
    made = Servers(header_timeout=0.3, write_timeout=0.3, h2_ping_interval=0.3, h2_ping_timeout=0.3)
    yield made
    made.stop()


def test_every_row_has_a_test() -> None:
    """The list of rows is kept as data; each is named by a test, or by a row of a table that a test plays."""
    named: set[str] = set()
    for path in ROOT.rglob("test_*.py"):
        named.update(
            name.upper() for name in re.findall(r"(?<![A-Za-z0-9])[A-Ga-g][0-9]{2}(?![0-9])", path.read_text())
        )
    rows = (ROOT / "data" / "h2_rows.txt").read_text().split()
    assert len(rows) == len(set(rows)) == 119
    assert [row for row in rows if row not in named] == []


def bomb() -> bytes:
    """An entry of 4,000 octets, and 16,000 references to it."""
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, block(GET) + literal(b"a", b"x" * 4000, 0x40) + b"\xbe" * 12000)


def in_pieces(stream: int, payload: bytes) -> bytes:
    """A block over a HEADERS frame and CONTINUATIONs."""
    pieces = [payload[at : at + 16384] for at in range(0, len(payload), 16384)]
    out = frame(HEADERS, END_STREAM, stream, pieces[0])
    for number, piece in enumerate(pieces[1:], 2):
        out += frame(CONTINUATION, END_HEADERS if number == len(pieces) else 0, stream, piece)
    return out


CUT = block(GET)
# What is sent, and the status of stream 1, or the code of its reset, or that of GOAWAY.
BLOCKS: dict[str, tuple[bytes, str, int]] = {
    "D02 coded strings behind a list that is too long": (
        in_pieces(1, block(GET) + (b"\x00\x01a\x7f\x81\x7e" + bytes(16384)) * 5 + bytes(20))[: 9 + 16384]
        + frame(CONTINUATION, 0, 1, bytes(16384)) * 20,
        "goaway",
        ENHANCE_YOUR_CALM,
    ),
    "D03 a list that is too long, then another request": (
        in_pieces(1, block([*GET, *[(b"x%d" % n, b"y" * 1000) for n in range(70)]])),
        "status",
        431,
    ),
    "D04 references to a large entry": (bomb(), "status", 431),
    "D07 size updates without end": (frame(HEADERS, 5, 1, b"\x20" * 100 + CUT), "goaway", COMPRESSION_ERROR),
    "D08 a size update in the middle": (frame(HEADERS, 5, 1, CUT + b"\x20"), "goaway", COMPRESSION_ERROR),
    "D09 an endless integer": (frame(HEADERS, 5, 1, CUT + b"\xff" * 12), "goaway", COMPRESSION_ERROR),
    "D10 a padded integer": (
        frame(HEADERS, 5, 1, CUT + b"\xff" + b"\x80" * 1000 + b"\x00"),
        "goaway",
        COMPRESSION_ERROR,
    ),
    "D11 a string that is cut off": (frame(HEADERS, 5, 1, CUT + b"\x00\x05abc"), "goaway", COMPRESSION_ERROR),
    "D13 EOS in a string": (frame(HEADERS, 5, 1, CUT + b"\x00\x01a\x84\xff\xff\xff\xfc"), "goaway", COMPRESSION_ERROR),
    "D14 crumbs of cookies": (
        in_pieces(1, block([*GET, *[(b"cookie", b"a=%d" % n) for n in range(4000)]])),
        "status",
        431,
    ),
    "D15 a block in tiny pieces": (
        frame(HEADERS, END_STREAM, 1, CUT[:1])
        + b"".join(frame(CONTINUATION, 0, 1, CUT[at : at + 1]) for at in range(1, len(CUT))),
        "goaway",
        ENHANCE_YOUR_CALM,
    ),
    "D15 a block in eight pieces": (
        frame(HEADERS, END_STREAM, 1, CUT[:5])
        + b"".join(
            frame(CONTINUATION, 4 * (at == 30), 1, CUT[at : at + 5 if at < 30 else None]) for at in range(5, 31, 5)
        ),
        "status",
        200,
    ),
    "D18 ten thousand trailer fields": (
        headers(1, to(b"/size", b"POST"), False) + in_pieces(1, block([(b"a", b"b")] * 10000)),
        "reset",
        PROTOCOL_ERROR,
    ),
    "D19 a field that is never indexed": (frame(HEADERS, 5, 1, CUT + literal(b"secret", b"s3", 0x10)), "status", 200),
    "F17 trailers that would change the head": (
        headers(1, to(b"/size", b"POST"), False)
        + data(1, b"abc")
        + headers(1, [(b"host", b"b"), (b"content-length", b"9")]),
        "reset",
        PROTOCOL_ERROR,
    ),
    "F17 trailers with a pseudo field": (
        headers(1, to(b"/size", b"POST"), False) + headers(1, [(b":path", b"/")]),
        "reset",
        PROTOCOL_ERROR,
    ),
    "F22 100-continue with a body": (
        headers(1, to(b"/size", b"POST", (b"expect", b"100-continue")), False) + data(1, b"abc", True),
        "status",
        200,
    ),
    "F22 100-continue without one": (headers(1, to(b"/", b"GET", (b"expect", b"100-continue"))), "status", 200),
    "F23 HEAD with DATA": (headers(1, to(b"/", b"HEAD"), False) + data(1, b"abc", True), "status", 200),
    "F23 GET with DATA": (headers(1, to(b"/size"), False) + data(1, b"abc", True), "status", 200),
    "F24 a path that is no UTF-8": (headers(1, to(b"/%ff%0d%0a")), "status", 200),
    "G11 a response field with a line end": (headers(1, to(b"/split")), "status", 500),
    "G12 an application that raises in its response": (headers(1, to(b"/broken")), "reset", INTERNAL_ERROR),
    "B08 a request that is whole": (headers(1, to(b"/size", b"POST"), False) + data(1, b"abc", True), "status", 200),
}


@pytest.mark.parametrize("row", BLOCKS)
def test_one_answer(servers: Servers, row: str) -> None:
    """The status, the reset or the GOAWAY of the row; where the connection goes on, the next request is served."""
    sent, kind, value = BLOCKS[row]
    for client in servers.clients():
        client.send(sent)
        if kind == "goaway":
            assert client.goaway() == value
            assert client.ended()
            continue
        answer = client.answer(1)
        assert (answer.reset if kind == "reset" else answer.status) == value
        client.send(headers(3))
        assert client.answer(3).body == b"fine"
        assert client.reader.goaways == []


def test_d19_what_is_never_indexed_is_in_no_table(servers: Servers) -> None:
    for client in servers.clients():
        client.send(frame(HEADERS, 5, 1, CUT + literal(b"secret", b"s3", 0x10)))
        assert client.answer(1).status == 200
        client.send(frame(HEADERS, 5, 3, CUT + b"\xbe"))  # the first entry of the dynamic table
        assert client.goaway() == COMPRESSION_ERROR


def test_b08_octet_by_octet(servers: Servers) -> None:
    for client in servers.clients(b""):
        for octet in START + headers(1, to(b"/size", b"POST"), False) + data(1, b"abc", True):
            client.send(bytes((octet,)))
        assert client.answer(1).body == b"3"


def test_b03_a_body_octet_by_octet(servers: Servers) -> None:
    for client in servers.clients():
        client.send(headers(1, to(b"/size", b"POST"), False), data(1, b"x") * 30000, data(1, b"", True))
        assert client.answer(1).body == b"30000"


def test_a18_a19_goaway_again_and_again(servers: Servers) -> None:
    for client in servers.clients():
        client.send(headers(1, to(b"/slow")), goaway(debug=b"\r\nroot:x" * 1000) * 100, headers(3))
        assert client.answer(1).body == b"slow"
        assert client.answer(3).body == b"fine"
        assert client.ended()


def test_a20_some_glitches_are_forgiven(servers: Servers) -> None:
    for client in servers.clients():
        for stream in range(1, 41, 2):
            client.send(frame(0xF0) * 20, headers(stream))
            assert client.answer(stream).body == b"fine"
        assert client.reader.goaways == []


@pytest.mark.parametrize("with_body", [False, True])
def test_c02_c03_resets_in_one_segment(servers: Servers, with_body: bool) -> None:
    for client in servers.clients():
        pairs = []
        for stream in range(1, 4001, 2):
            body = data(stream, bytes(100)) if with_body else b""
            pairs.append(headers(stream, to(b"/deaf", b"POST"), False) + body + reset(stream))
        client.send(*pairs)
        assert client.goaway() == ENHANCE_YOUR_CALM
    for live in servers.running:
        eventually(lambda live=live: not live.on_loop(live.running._worker.runtime.active_calls))


def test_c07_more_streams_than_the_settings_say(servers: Servers) -> None:
    for client in servers.clients(b""):
        client.send(START, *(headers(stream, to(b"/slow")) for stream in range(1, 203, 2)))
        assert client.answer(201).reset == REFUSED_STREAM
        assert client.answer(199).body == b"slow"
        assert client.reader.goaways == []


def test_c18_the_last_stream_there_is(servers: Servers) -> None:
    for client in servers.clients():
        client.send(headers((1 << 31) - 1))
        assert client.answer((1 << 31) - 1).body == b"fine"
        assert client.goaway() == NO_ERROR


# -- windows


def test_e01_windows_that_never_open(hasty: Servers) -> None:
    for client in hasty.clients(PREFACE + settings((4, 0)) + SETTINGS_ACK):
        client.send(*(headers(stream, to(b"/large")) for stream in range(1, 201, 2)))
        assert {client.answer(stream).reset for stream in range(1, 201, 2)} == {CANCEL}


def test_e02_windows_that_open_by_an_octet(servers: Servers) -> None:
    for client in servers.clients(PREFACE + settings((4, 1)) + SETTINGS_ACK):
        client.send(headers(1, to(b"/large")))
        pings = 0
        try:
            while not client.reader.goaways:
                pings += 1
                client.send(window_update(1, 1) * 500, ping())
                client.until(lambda client=client, pings=pings: seen(client, 6) >= pings or client.reader.goaways)
        except ConnectionError:
            pass
        assert client.goaway() == ENHANCE_YOUR_CALM
        assert len(client.reader.answers[1].body) < 30000


def test_e03_a_client_that_reads_nothing(hasty: Servers) -> None:
    for client in hasty.clients(receive_buffer=4096):
        wide = settings((4, 1 << 30)) + window_update(0, 1 << 30)
        client.send(wide, *(headers(stream, to(b"/large")) for stream in range(1, 81, 2)))
        live = next(one for one in hasty.running if one.port == client.peer.sock.getpeername()[1])
        eventually(lambda live=live: not live.on_loop(live.running._worker.runtime.active_calls))
        known = live.running._worker.deadlines
        port = client.peer.port
        eventually(lambda known=known, port=port: port not in ports_of(known))


def seen(client: Conversation, kind: int) -> int:
    """How many frames of a kind have come."""
    return sum(one.kind == kind for one in client.reader.frames)


def ports_of(deadlines: Any) -> set[int]:
    return {connection.transport.client[1] for connection in list(deadlines.connections)}


def test_e04_one_stream_takes_the_connections_window(servers: Servers) -> None:
    for client in servers.clients(PREFACE + settings((4, 1 << 20)) + SETTINGS_ACK):
        client.send(*(headers(stream, to(b"/large")) for stream in (1, 3, 5)))
        client.until(lambda client=client: sum(len(one.body) for one in client.reader.answers.values()) == 65535)
        client.send(window_update(0, 1 << 24))
        for stream in (1, 3, 5):
            assert len(client.answer(stream).body) == LARGE


def test_e06_a_window_below_nothing(servers: Servers) -> None:
    for client in servers.clients(PREFACE + settings((4, 1000)) + SETTINGS_ACK):
        client.send(headers(1, to(b"/large")))
        client.until(lambda client=client: 1 in client.reader.answers and len(client.reader.answers[1].body) == 1000)
        client.send(settings((4, 400)), window_update(1, 500), ping())
        client.until(lambda client=client: client.reader.frames[-1].kind == 6)
        assert len(client.reader.answers[1].body) == 1000
        client.send(window_update(1, 150))
        client.until(lambda client=client: len(client.reader.answers[1].body) == 1050)


def test_e08_data_for_a_stream_that_was_reset(servers: Servers) -> None:
    """It is dropped, and the connection's window given back: 6 MiB go through one of 4."""
    for client in servers.clients():
        client.send(headers(1, to(b"/deaf", b"POST"), False), window_update(1, 0))
        assert client.answer(1).reset == PROTOCOL_ERROR
        for _ in range(96):
            client.send(data(1, bytes(16384)) * 4)
        client.send(headers(3))
        assert client.answer(3).body == b"fine"
        assert client.reader.windows[0] > 4_194_304


def test_e09_uploads_that_nobody_reads(servers: Servers) -> None:
    for client in servers.clients():
        for stream in range(1, 101, 2):
            client.send(headers(stream, to(b"/deaf", b"POST"), False), data(stream, bytes(16000)) * 4)
        client.send(headers(101))
        assert client.answer(101).body == b"fine"
        assert [stream for stream in client.reader.windows if stream] == []


def test_e10_an_answer_before_the_body(servers: Servers) -> None:
    for client in servers.clients():
        client.send(headers(1, to(b"/early", b"POST"), False), data(1, bytes(1000)))
        answer = client.answer(1)
        assert (answer.body, answer.ended) == (b"fine", True)
        client.until(lambda answer=answer: answer.reset == NO_ERROR)


# -- clocks and the life of a connection


def test_a08_settings_that_are_never_acknowledged(servers: Servers) -> None:
    for client in servers.clients(START):
        client.send(headers(1))
        assert client.answer(1).body == b"fine"
        live = next(one for one in servers.running if one.port == client.peer.sock.getpeername()[1])
        deadlines = live.running._worker.deadlines

        def later(deadlines: Any = deadlines, port: int = client.peer.port) -> None:
            for connection in deadlines.connections:
                if connection.transport.client[1] == port:
                    connection.settings_at -= 31
                    connection.deadline = 0.001
            deadlines.sweep()

        live.on_loop(later)
        assert client.goaway() == SETTINGS_TIMEOUT


@pytest.mark.parametrize("octets", [1, 3, 8])
def test_b07_a_frame_that_stops_in_its_head(hasty: Servers, octets: int) -> None:
    for client in hasty.clients():
        client.send(ping()[:octets])
        assert client.goaway() == PROTOCOL_ERROR
        assert client.ended()


def test_e15_a_dead_peer_is_noticed(hasty: Servers) -> None:
    """A stream is open, the peer says nothing: a PING, then the end."""
    for client in hasty.clients():
        client.send(headers(1, to(b"/deaf")))
        assert client.ended()
        assert any(one.kind == 6 for one in client.reader.frames)


def test_g02_something_before_settings(servers: Servers) -> None:
    for client in servers.clients(PREFACE + ping()):
        assert client.goaway() == PROTOCOL_ERROR
        assert client.ended()


def test_g03_an_upgrade_to_h2c_is_ignored(servers: Servers) -> None:
    """RFC 9113 section 3.1 made it obsolete."""
    fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__")
    for client in servers.clients(request("/ok", *fields)):
        assert client.peer.response().status == 200
    for client in servers.clients(request("/ok", *fields, method="POST", body=b"abc")):
        assert client.peer.response().status == 200


def test_g04_a_preface_in_the_middle(servers: Servers) -> None:
    for client in servers.clients(request("/ok")):
        assert client.peer.response().body == b"fine"
        client.send(START)
        assert client.peer.response().status in (400, 505)


def test_g09_the_last_request_of_a_connection_in_a_burst() -> None:
    limited = Servers(keep_alive_max_requests=10)
    try:
        for live in limited.running:
            client = Conversation(live.connect())
            client.send(*(headers(stream) for stream in range(1, 41, 2)))
            assert client.ended()
            last = client.reader.goaways[-1][0]
            assert last >= 19
            for stream in range(1, 41, 2):
                answer = client.reader.answers.get(stream)
                assert (answer is not None and answer.body == b"fine") if stream <= last else answer is None
    finally:
        limited.stop()
