"""Every HTTP/2 case that has no clock in it, by hand-made frames against live servers: each loop, each way to move the
bytes, the verdict of the tables everywhere. The floods are given to each loop once."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.protocol.test_http2_abuse import FLOODS
from tests.protocol.test_http2_frames import CONNECTION_ERRORS, IGNORED, OPEN, STREAM_ERRORS
from tests.protocol.test_http2_requests import ANSWERED, MALFORMED
from tests.support.http2 import (
    CANCEL,
    ENHANCE_YOUR_CALM,
    GET,
    POST,
    PREFACE,
    PROTOCOL_ERROR,
    SETTINGS_ACK,
    START,
    STREAM_CLOSED,
    Answer,
    Reader,
    data,
    headers,
    ping,
    reset,
    settings,
    window_update,
)
from tests.support.live import BACKENDS, DRIVERS, Live, eventually, pause, respond
from tests.support.peer import PATIENCE, Peer

SLOW = [*GET[:2], (b":path", b"/slow"), GET[3]]
# Where the answer may be on its way when the frame comes, the stream is closed: an error of the connection then.
CLOSED_ALREADY = ("C12 HEADERS behind the end", "C13 DATA behind the end")
MOST = 400_000  # frames, most of which are still on their way when the server has had enough
LONG = ("D05 too many fields",)  # 10,000 answers
OK = [*GET[:2], (b":path", b"/ok"), GET[3]]


class Conversation:
    """A client of one live server."""

    def __init__(self, peer: Peer, start: bytes = START + SETTINGS_ACK) -> None:
        self.peer = peer
        self.reader = Reader()
        peer.send(start)

    def send(self, *frames: bytes) -> None:
        self.peer.send(b"".join(frames))

    def read(self) -> bool:
        """Reads once. False at the end."""
        try:
            received = self.peer.sock.recv(262144)
        except ConnectionError:
            return False
        self.reader.feed(received)
        return bool(received)

    def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            assert self.read(), "the connection ended"

    def answer(self, stream: int = 1) -> Answer:
        """What came on a stream, once it is over."""
        answers = self.reader.answers
        self.until(lambda: stream in answers and answers[stream].over)
        return answers[stream]

    def goaway(self) -> int:
        self.until(lambda: self.reader.goaways)
        return self.reader.goaways[-1][1]

    def ended(self) -> bool:
        """The server ends the connection."""
        while self.read():
            pass
        return True


class Arena:
    """A server on each loop, over the reactor and over the loop's own transports."""

    def __init__(self) -> None:
        self.running = 0
        self.most = 0
        self.servers = {
            f"{backend} {driver}": Live(
                self.app, backend, lifespan="off", runtime=driver, keep_alive_max_requests=10**9, linger_timeout=1
            )
            for backend in BACKENDS
            for driver in DRIVERS
        }

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        """POST waits for the end, /slow for long; everything else is answered at once."""
        if scope["path"] == "/ok" or (scope["method"] not in ("POST", "PUT") and scope["path"] != "/slow"):
            await respond(send, b"fine")
            return
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if scope["path"] == "/slow":
                await pause(30)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self.running -= 1

    def connect(self, name: str, start: bytes = START + SETTINGS_ACK) -> Conversation:
        return Conversation(self.servers[name].connect(), start)


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    arena = Arena()
    yield arena
    for live in arena.servers.values():
        live.wake()
    for live in arena.servers.values():
        assert live.errors() == []
        live.stop()


@pytest.fixture(autouse=True)
def nothing_left(arena: Arena) -> Iterator[None]:
    """No call goes on when its stream has ended."""
    yield
    for peer in Peer.opened:
        peer.close()
    eventually(lambda: arena.running == 0)


@pytest.mark.parametrize("row", CONNECTION_ERRORS)
def test_errors_of_the_connection(arena: Arena, row: str) -> None:
    """GOAWAY with the code, then the end; another connection goes on."""
    wrong, code = CONNECTION_ERRORS[row]
    for name in arena.servers:
        client = arena.connect(name)
        client.send(OPEN, wrong, headers(101))
        assert client.goaway() == code, name
        assert client.ended()
        assert 101 not in client.reader.answers


@pytest.mark.parametrize("row", STREAM_ERRORS)
def test_errors_of_a_stream(arena: Arena, row: str) -> None:
    """RST_STREAM with the code; the next stream of the connection is served."""
    wrong, code = STREAM_ERRORS[row]
    slow = wrong.replace(headers(3), headers(3, SLOW), 1)
    slow = slow.replace(headers(3, POST, end=False), headers(3, [POST[0], *SLOW[1:]], end=False))
    for name in arena.servers:
        client = arena.connect(name)
        client.send(slow, headers(5, OK))
        assert client.answer(5).body == b"fine", name
        assert client.answer(3).reset == code, name
        assert client.reader.goaways == []


@pytest.mark.parametrize("row", IGNORED)
def test_what_is_ignored(arena: Arena, row: str) -> None:
    for name in arena.servers:
        client = arena.connect(name)
        client.send(IGNORED[row], headers(101))
        assert client.answer(101).status == 200, name
        assert client.reader.goaways == []


@pytest.mark.parametrize("row", MALFORMED)
def test_malformed_requests(arena: Arena, row: str) -> None:
    for name in arena.servers:
        client = arena.connect(name)
        client.send(headers(1, MALFORMED[row]), headers(3, OK))
        assert client.answer(1).reset == PROTOCOL_ERROR, name
        assert client.answer(3).body == b"fine", name


@pytest.mark.parametrize("row", ANSWERED)
def test_requests_that_are_refused(arena: Arena, row: str) -> None:
    fields, status = ANSWERED[row]
    for name in arena.servers:
        client = arena.connect(name)
        client.send(headers(1, fields), headers(3, OK))
        assert client.answer(1).status == status, name
        assert client.answer(3).body == b"fine", name


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("row", [pytest.param(row, marks=[pytest.mark.slow] * (row in LONG)) for row in FLOODS])
def test_floods(arena: Arena, row: str, backend: str) -> None:
    """The client reads all answers, and is sent away well before it is through; a canary is served all the time."""
    before, make, _ = FLOODS[row]
    name = f"{backend} {DRIVERS[0]}"
    client = arena.connect(name)
    canary = arena.connect(name)
    client.send(before)
    sent = 0
    client.peer.sock.setblocking(False)
    try:
        while sent < MOST and not client.reader.goaways:
            pour(client, b"".join(make(number) for number in range(sent, sent + 250)))
            sent += 250
    except ConnectionError:
        pass
    client.peer.sock.settimeout(PATIENCE)
    canary.send(headers(1, OK))
    assert canary.answer(1).body == b"fine"
    assert client.goaway() == ENHANCE_YOUR_CALM or (row in CLOSED_ALREADY and client.goaway() == STREAM_CLOSED)
    assert arena.most <= 100 * len(arena.servers)


def pour(client: Conversation, octets: bytes) -> None:
    """Sends on a socket that does not block, and reads whatever comes meanwhile. It sleeps while there is nothing to
    do: the server is a thread of this process, and a client that looks again and again would keep it from its work."""
    sock = client.peer.sock
    poller = select.poll()
    poller.register(sock, select.POLLIN | select.POLLOUT)
    end = time.monotonic() + PATIENCE
    at = 0
    while at < len(octets) and not client.reader.goaways:
        assert time.monotonic() < end
        poller.poll(1000)
        try:
            at += sock.send(octets[at:])
        except BlockingIOError:
            pass
        try:
            received = sock.recv(262144)
            if not received:
                raise ConnectionError
            client.reader.feed(received)
        except BlockingIOError:
            pass


def test_c05_h2_01_resets_behind_an_answer_cost_no_budget(arena: Arena) -> None:
    """A client that leaves responses half-way, again and again, is a client like others."""
    for name in arena.servers:
        client = arena.connect(name)
        client.send(settings((4, 1)))
        for stream in range(1, 601, 2):
            client.send(headers(stream), reset(stream, CANCEL))
        client.send(window_update(0, 1000), settings((4, 65535)), headers(1001, OK))
        assert client.answer(1001).body == b"fine", name
        assert client.reader.goaways == []


def test_g01_garbage_ahead_of_frames(arena: Arena) -> None:
    for name in arena.servers:
        client = arena.connect(name, PREFACE[:23] + b"x" + settings())
        try:
            client.goaway()
        except AssertionError:
            pass  # cut without a word is allowed too
        assert client.ended()
        assert client.reader.answers == {}


def test_g10_settings_of_a_small_client(arena: Arena) -> None:
    for name in arena.servers:
        client = arena.connect(name, PREFACE + settings((2, 0), (3, 0), (5, 16384), (6, 1)) + SETTINGS_ACK)
        client.send(headers(1))
        assert client.answer(1).body == b"fine", name


def test_e16_half_a_close(arena: Arena) -> None:
    for name in arena.servers:
        client = arena.connect(name)
        client.send(headers(1), headers(3, POST, end=False))
        client.peer.end()
        assert client.answer(1).body == b"fine", name
        assert client.ended()


def test_e17_a_client_that_cuts_the_connection(arena: Arena) -> None:
    for name in arena.servers:
        client = arena.connect(name)
        client.send(*(headers(stream, POST, end=False) for stream in range(1, 201, 2)), ping())
        client.until(lambda client=client: any(one.kind == 6 for one in client.reader.frames))
        client.peer.reset()
    eventually(lambda: arena.running == 0)


def test_c16_h2_18_the_limit_of_streams_is_one_of_calls(arena: Arena) -> None:
    for name in arena.servers:
        client = arena.connect(name)
        client.send(*(headers(stream, POST, end=False) for stream in range(1, 203, 2)))
        assert client.answer(201).reset == 7, name
        eventually(lambda: arena.running == 100)
        client.send(*(reset(stream) for stream in range(1, 201, 2)))
        eventually(lambda: arena.running == 0)
        # The last call ends a moment after the application's last line, and is refused for that long.
        for stream in range(301, 401, 2):
            client.send(headers(stream, OK))
            if client.answer(stream).reset != 7:
                break
        assert client.answer(stream).body == b"fine", name


def test_a02_h2_22_a_flood_by_a_client_that_reads_nothing(arena: Arena) -> None:
    """The answers that nobody reads are bounded: the connection is cut, whatever the budget of its kind says."""
    for name in arena.servers:
        peer = arena.servers[name].connect(receive_buffer=4096)
        client = Conversation(peer)
        peer.sock.settimeout(2)
        sent = 0
        try:
            while sent < 3_000_000:
                client.send(ping() * 1000)
                sent += 1000
        except (ConnectionError, TimeoutError):
            pass
        assert sent < 3_000_000, name
        canary = arena.connect(name)
        canary.send(headers(1, OK))
        assert canary.answer(1).body == b"fine"


def test_e11_e12_e13_e14_clocks_on_every_loop() -> None:
    """Half a preface, a block octet by octet, a body that stops, an idle connection with pings, a closed window."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while scope["method"] == "POST" and (await receive()).get("more_body"):
            pass
        await respond(send, bytes(100))

    times = {"header_timeout": 0.4, "body_timeout": 0.4, "keep_alive_timeout": 0.4, "write_timeout": 0.4}
    servers = [
        Live(app, backend, lifespan="off", runtime=driver, **times) for backend in BACKENDS for driver in DRIVERS
    ]
    try:
        for live in servers:
            preface = Conversation(live.connect(), PREFACE[:10])
            block = Conversation(live.connect(), START + SETTINGS_ACK + headers(1)[:-5])
            body = Conversation(live.connect())
            body.send(headers(1, POST, end=False), data(1, b"a"))
            idle = Conversation(live.connect())
            idle.send(ping())
            closed = Conversation(live.connect(), PREFACE + settings((4, 0)) + SETTINGS_ACK)
            closed.send(headers(1))
            assert preface.ended()
            assert block.goaway() == PROTOCOL_ERROR
            assert body.answer(1).status == 408
            assert idle.goaway() == 0
            assert idle.ended()
            assert closed.answer(1).reset == CANCEL
    finally:
        for live in servers:
            live.stop()
    assert [live.errors() for live in servers] == [[]] * len(servers)
