"""Bodies of any size in bounded memory, both ways, and what happens when one side stops reading."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.test_sockets import connections_of
from tests.support.live import Gate, Live, body_of, eventually, pause, respond
from tests.support.peer import PATIENCE, Peer, request

MEGABYTE = 1024 * 1024
PIECE = bytes(range(256)) * 256  # 64 KiB


def resident() -> int:
    """Bytes of memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@needs_proc
def test_large_download_in_bounded_memory(serve_app: Any) -> None:
    pieces = 100 * MEGABYTE // len(PIECE)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(pieces):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        await send({"type": "http.response.body"})

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        peer.send(request())
        peer.head()
        before = highest = resident()
        size = 0
        while length := int(peer.until(b"\r\n"), 16):
            assert peer.take(length) == PIECE
            assert peer.take(2) == b"\r\n"
            size += length
            highest = max(highest, resident())
        assert size == 100 * MEGABYTE
        assert highest - before < 8 * MEGABYTE


@needs_proc
def test_large_upload_in_bounded_memory(serve_app: Any) -> None:
    size = 100 * MEGABYTE

    async def app(scope: Any, receive: Any, send: Any) -> None:
        total, more = 0, True
        while more:
            message = await receive()
            total += len(message["body"])
            more = message["more_body"]
        await respond(send, b"%d" % total)

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        before = highest = resident()
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(PIECE)):
            peer.send(PIECE)
            highest = max(highest, resident())
        assert peer.response().body == b"%d" % size
        assert highest - before < 8 * MEGABYTE


def test_slow_reader_parks_send(serve_app: Any) -> None:
    """N10 for HTTP: `send` waits after the high-water mark and what the kernel takes, then goes on."""
    sent = [0]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(400):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            sent[0] += 1
        await send({"type": "http.response.body"})

    live = serve_app(app, lifespan="off")
    with live.connect(receive_buffer=65536) as peer:
        peer.send(request())
        peer.head()
        settled = settle(sent)
        assert settled < 200
        assert peer.response_body_size() == 400 * len(PIECE)
        assert sent[0] == 400


def settle(counter: list[int]) -> int:
    """The value at which a counter comes to rest."""
    value, since = counter[0], time.monotonic()
    while time.monotonic() - since < 0.15:
        if counter[0] != value:
            value, since = counter[0], time.monotonic()
        time.sleep(0.01)
    return value


def test_others_are_served_while_one_does_not_read(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/quick":
            await respond(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})

    live = serve_app(app, lifespan="off")
    with live.connect() as stuck, live.connect() as peer:
        stuck.send(request())
        stuck.head()
        for _ in range(20):
            assert peer.get("/quick").body == b"ok"
        stuck.reset()
        eventually(lambda: connections_of(live) == 1)
    assert live.errors() == []


def send_until_stuck(peer: Peer, data: bytes) -> int:
    """Sends until the server takes no more for a while; gives how much it took. Fails where it takes all."""
    peer.sock.settimeout(0.3)
    sent = 0
    try:
        while sent < len(data):
            sent += peer.sock.send(data[sent : sent + 65536])
    except TimeoutError:
        peer.sock.settimeout(PATIENCE)
        return sent
    raise AssertionError("the server took everything")


def test_app_that_does_not_read_pauses_the_client(serve_app: Any) -> None:
    go = Gate()
    payload = PIECE * 640  # 40 MiB

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await respond(send, b"%d" % len(await body_of(receive)))

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        message = request("/", method="POST", body=payload)
        sent = send_until_stuck(peer, message)
        assert sent < 20 * MEGABYTE
        go.set()
        peer.send(message[sent:])
        assert peer.response().body == b"%d" % len(payload)
    assert live.errors() == []


def test_a_pipelined_flood_pauses_the_client(serve_app: Any) -> None:
    """H1-09: requests behind one that is being answered are not read without end."""
    go = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        await respond(send)

    live = serve_app(app, lifespan="off", keep_alive_max_requests=1_000_000)
    one = request("/" + "x" * 900)
    flood = one * 20_000
    with live.connect() as peer:
        sent = send_until_stuck(peer, flood)
        assert sent < 12 * MEGABYTE
        go.set()
        for _ in range(sent // len(one)):
            assert peer.response().body == b"ok"


def test_upload_and_pipelined_request_while_paused(serve_app: Any) -> None:
    """H1-10."""
    bodies = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause(0.1)
        bodies.append(await body_of(receive))
        await respond(send, b"%d" % len(bodies[-1]))

    live = serve_app(app, lifespan="off")
    with live.connect() as peer:
        payload = PIECE * 10
        peer.send(request("/1", method="POST", body=payload) + request("/2", method="POST", body=b"second"))
        assert peer.response().body == b"%d" % len(payload)
        assert peer.response().body == b"6"
    assert bodies == [payload, b"second"]


def test_write_stall_is_aborted(serve_app: Any) -> None:
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        except OSError:
            ended.set()
            raise

    live = serve_app(app, lifespan="off", write_timeout=0.3)
    with live.connect() as peer:
        peer.send(request())
        peer.head()
        began = time.monotonic()
        assert ended.wait(5)
        assert time.monotonic() - began > 0.2
        eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []


def test_write_stall_of_a_finished_response_is_aborted(serve_app: Any) -> None:
    """The application is done; the peer does not read what is left."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, PIECE * 200)

    live = serve_app(app, lifespan="off", write_timeout=0.3)
    with live.connect() as peer:
        peer.send(request("/", "Connection: close"))
        peer.head()
        eventually(lambda: connections_of(live) == 0, within=3)
    assert live.errors() == []


def test_a_slow_but_steady_reader_is_not_aborted(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, PIECE * 120)

    live = serve_app(app, lifespan="off", write_timeout=0.4)
    with live.connect(receive_buffer=32768) as peer:
        peer.send(request("/", "Connection: close"))
        peer.head()
        began = time.monotonic()
        left = 120 * len(PIECE) - len(peer.buffer)
        while left:
            data = peer.sock.recv(65536)
            assert data, f"cut with {left} bytes missing"
            left -= len(data)
            time.sleep(0.004)
        assert time.monotonic() - began > 0.8, "too fast to prove anything"


def test_chunks_leave_at_once(serve_app: Any) -> None:
    """H1-16: an event is on the wire before the next is made."""
    step = Gate()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await step.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    with serve_app(app, lifespan="off").connect() as peer:
        peer.send(request())
        peer.head()
        assert peer.until(b"one\r\n") == b"3\r\none\r\n"
        step.set()
        assert peer.until(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"


@needs_proc
def test_many_connections_at_once(serve_app: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await respond(send, await body_of(receive))

    live: Live = serve_app(app, lifespan="off", backlog=300)
    peers = [live.connect() for _ in range(200)]
    for _ in range(3):
        for number, peer in enumerate(peers):
            peer.send(request("/", method="POST", body=b"%d" % number))
        for number, peer in enumerate(peers):
            assert peer.response().body == b"%d" % number
    for peer in peers:
        peer.close()


def test_a_body_that_trickles_in_is_refused(serve_app: Any) -> None:
    """Every byte is progress, and `body_timeout` is far: it is the rate that ends it."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    live = serve_app(app, lifespan="off", min_receive_rate=1000, min_rate_grace=0.2)
    with live.connect() as peer:
        peer.send(request("/", "Content-Length: 100000", method="POST"))
        began = time.monotonic()
        peer.sock.settimeout(0.02)
        data = b""
        while not data and time.monotonic() - began < 5:
            peer.sock.sendall(b"x")
            try:
                data = peer.sock.recv(4096)
            except TimeoutError:
                pass
        assert time.monotonic() - began > 0.15
        assert data.startswith(b"HTTP/1.1 408 ")
    assert live.errors() == []


def test_a_response_that_is_read_byte_by_byte_is_aborted(serve_app: Any) -> None:
    ended = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        except OSError:
            ended.set()
            raise

    live = serve_app(app, lifespan="off", min_send_rate=1_000_000, min_rate_grace=0.2)
    with live.connect(receive_buffer=32768) as peer:
        peer.send(request())
        peer.head()
        began = time.monotonic()
        while not ended.wait(0.01) and time.monotonic() - began < 5:
            peer.sock.recv(1)
        assert ended.is_set()
        assert time.monotonic() - began > 0.2
        eventually(lambda: connections_of(live) == 0)
    assert live.errors() == []
