"""Clients of every protocol, which only want to know how an exchange ended. None of them hangs or raises for a server
that fails: that is what they are for.

    go()        one whole exchange on the connection, which has to succeed
    provoke()   an exchange that may end in any way; gives the status, or 0 where the answer was not whole
    hold()      begins an exchange, and leaves it half-way
    leave()     ends the connection politely, and waits for the server's end
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from typing import Any

from aioquic.h3.connection import FrameUnexpected
from tests.protocol.test_http2_websocket import CONNECT
from tests.support.http2 import GET, POST, SETTINGS_ACK, START, Answer, Reader, settings, window_update
from tests.support.http2 import data as h2_data
from tests.support.http2 import headers as h2_headers
from tests.support.http3 import LiveClient, request
from tests.support.peer import Peer
from tests.support.peer import request as h1_request
from tests.support.websocket import upgrade
from tests.wire.websocket_frames import close, frame, read_frames

LARGE = bytes(1_000_000)
WIDE = settings((4, 1 << 30)) + window_update(0, 1 << 30)
ENDS = (AssertionError, OSError, EOFError)  # how a peer of these tests learns of an end


def frames_in(body: bytes) -> list[Any]:
    """The WebSocket frames at the beginning of what came."""
    while body:
        try:
            return read_frames(body)
        except (AssertionError, IndexError, ValueError):
            body = body[:-1]
    return []


class HTTP1:
    """HTTP/1.1, over TLS where there is a context for it."""

    name = "h1"

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.peer = Peer(("127.0.0.1", port))
        self.port = self.peer.port
        self.tls = tls
        if tls is not None:
            self.peer.sock = tls.wrap_socket(self.peer.sock, server_hostname="localhost", do_handshake_on_connect=False)

    def go(self) -> None:
        self.peer.send(h1_request("/ok", method="POST", body=b"abc"))
        assert self.peer.response().body == b"fine"

    def provoke(self, path: str) -> int:
        body = LARGE if path == "/large" else b"abc"
        raw = h1_request(path, method="POST", body=body)
        try:
            self.peer.send(raw[:-1])
            if path == "/body_wanted":
                time.sleep(0.01)  # the application waits for the rest
            self.peer.send(raw[-1:])
            return self.peer.response().status
        except ENDS:
            return 0

    def hold(self) -> None:
        self.peer.send(h1_request("/ok", method="POST", body=b"abc")[:-1])

    def leave(self) -> None:
        with suppress(*ENDS):
            self.peer.end()
        with suppress(*ENDS):
            while self.peer.more():
                pass
        self.peer.close()


class HTTP2:
    """HTTP/2: over TLS by ALPN, without by prior knowledge."""

    name = "h2"

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.below = HTTP1(port, tls)
        self.port = self.below.port
        self.reader = Reader()
        self.stream = -1
        self.begun = False

    def send(self, raw: bytes) -> None:
        if not self.begun:
            self.begun = True
            raw = START + WIDE + SETTINGS_ACK + raw
        self.below.peer.send(raw)

    def read(self) -> None:
        received = self.below.peer.sock.recv(262144)
        if not received:
            raise EOFError
        self.reader.feed(received)

    def answer(self, stream: int) -> Answer:
        answers = self.reader.answers
        while stream not in answers or not answers[stream].over:
            self.read()
        return answers[stream]

    def ask(self, path: str, body: bytes) -> Answer:
        self.stream += 2
        fields = [(name, path.encode() if name == b":path" else value) for name, value in POST]
        self.send(h2_headers(self.stream, fields, end=False) + h2_data(self.stream, body[:1]))
        for at in range(1, len(body), 16384):
            self.send(h2_data(self.stream, body[at : at + 16384]))
        self.send(h2_data(self.stream, b"", True))
        return self.answer(self.stream)

    def go(self) -> None:
        assert self.ask("/ok", b"abc").body == b"fine"

    def provoke(self, path: str) -> int:
        try:
            answer = self.ask(path, LARGE[:60000] if path == "/large" else b"abc")
        except ENDS:
            return 0
        return answer.status if answer.ended and not answer.reset else 0

    def hold(self) -> None:
        self.go()  # the server speaks HTTP/2 now
        self.stream += 2
        self.send(h2_headers(self.stream, POST, end=False) + h2_data(self.stream, b"a"))

    def leave(self) -> None:
        self.below.leave()


class HTTP3:
    """HTTP/3, by aioquic."""

    name = "h3"

    def __init__(self, port: int) -> None:
        self.client = LiveClient(port, max_data=1 << 24, max_stream_data=1 << 24, idle_timeout=3600.0)
        self.port = self.client.wire.sock.getsockname()[1]
        if not self.port:
            self.client.wire.sock.bind(("127.0.0.1", 0))
            self.port = self.client.wire.sock.getsockname()[1]
        self.started = False

    def start(self) -> None:
        if not self.started:
            self.started = True
            self.client.start()

    def ask(self, path: bytes) -> Any:
        self.start()
        if self.client.closed:
            raise EOFError
        body = LARGE[:60000] if path == b"/large" else b"abc"
        return self.client.ask(request(path, b"POST"), body)

    def go(self) -> None:
        assert bytes(self.ask(b"/ok").body) == b"fine"

    def provoke(self, path: str) -> int:
        try:
            answer = self.ask(path.encode())
        except EOFError:
            return 0
        return answer.status if answer.over and answer.heads and answer.reset is None else 0

    def hold(self) -> None:
        self.go()  # the server has all of the handshake
        self.client.send(request(b"/ok", b"POST"), b"a", end=False)
        self.client.wire.flush()

    def leave(self) -> None:
        self.client.close()


class WebSocket1:
    """WebSocket over HTTP/1.1: the connection that `go` needs is opened by its first call."""

    name = "ws-h1"

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.below = HTTP1(port, tls)
        self.port = self.below.port
        self.opened = False

    def open(self, path: str) -> int:
        if not self.opened:
            self.opened = True
            self.below.peer.send(upgrade(path))
            return self.below.peer.head()[0]
        return 101

    def echo(self) -> bytes:
        peer = self.below.peer
        peer.send(frame(1, b"hello"))
        head = peer.take(2)
        if head[0] == 0x88:
            peer.send(close(1000))
        return head + peer.take(head[1])

    def go(self) -> None:
        assert self.open("/ok") == 101
        assert self.echo() == b"\x81\x05hello"

    def provoke(self, path: str) -> int:
        try:
            status = self.open(path)
            if status != 101:
                self.below.peer.rest()
                return status
            if self.echo()[0] != 0x81:
                return 0
            self.below.peer.send(close(1000))
            self.below.peer.rest()
        except ENDS:
            return 0
        return status

    def hold(self) -> None:
        self.open("/ok")
        self.below.peer.send(frame(1, b"hello")[:-1])

    def leave(self) -> None:
        self.below.leave()


class WebSocket2:
    """WebSocket on a stream of HTTP/2 (RFC 8441)."""

    name = "ws-h2"

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.http = HTTP2(port, tls)
        self.port = self.http.port
        self.socket = 0
        self.taken = 0

    def open(self, path: str) -> Answer:
        http = self.http
        http.stream += 2
        fields = [(name, path.encode() if name == b":path" else value) for name, value in CONNECT]
        http.send(h2_headers(http.stream, fields, False))
        self.taken = 0
        return self.until(http.stream, lambda answer: answer.headers)

    def until(self, stream: int, condition: Any) -> Answer:
        answers = self.http.reader.answers
        while stream not in answers or not (answers[stream].over or condition(answers[stream])):
            self.http.read()
        return answers[stream]

    def echo(self, stream: int) -> bool:
        self.http.send(h2_data(stream, frame(1, b"hello")))
        self.taken += 7
        answer = self.until(stream, lambda answer: answer.body[self.taken - 7 :])
        at = self.taken - 7
        echo = self.until(stream, lambda answer: len(answer.body) >= at + 7 or answer.body[at : at + 1] == b"\x88")
        if echo.body[self.taken - 7 :][:1] == b"\x88":
            self.http.send(h2_data(stream, close(1000), True))
        return answer.body[self.taken - 7 :][:7] == b"\x81\x05hello"

    def go(self) -> None:
        if not self.socket:
            assert self.open("/ok").status == 200
            self.socket = self.http.stream
        assert self.echo(self.socket)

    def provoke(self, path: str) -> int:
        try:
            answer = self.open(path)
            stream = self.http.stream
            if answer.status != 200:
                return answer.status
            if not self.echo(stream):
                return 0
            self.http.send(h2_data(stream, close(1000), True))
            answer = self.http.answer(stream)
        except ENDS:
            return 0
        return answer.status if answer.ended and not answer.reset else 0

    def hold(self) -> None:
        self.open("/ok")

    def leave(self) -> None:
        self.http.leave()


class WebSocket3:
    """WebSocket on a stream of HTTP/3 (RFC 9220)."""

    name = "ws-h3"

    def __init__(self, port: int) -> None:
        self.http = HTTP3(port)
        self.port = self.http.port
        self.socket: int | None = None
        self.taken = 0

    def open(self, path: str) -> Any:
        self.http.start()
        client = self.http.client
        if client.closed:
            raise EOFError
        fields = [(name, path.encode() if name == b":path" else value) for name, value in CONNECT]
        self.stream = client.send(fields, end=False)
        self.taken = 0
        return self.until(lambda answer: answer.heads)

    def until(self, condition: Any) -> Any:
        client = self.http.client
        answer = client.answer(self.stream)
        client.wire.settle(lambda: condition(answer) or answer.over or answer.reset is not None or client.closed)
        return answer

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Octets on the stream. Raises EOFError where both sides of it were ended: aioquic has forgotten it then."""
        client = self.http.client
        if client.closed:
            raise EOFError
        try:
            client.http.send_data(self.stream, data, end)
        except FrameUnexpected:
            raise EOFError from None

    def echo(self) -> bool:
        self.send(frame(1, b"hello"))
        self.taken += 7
        answer = self.until(lambda answer: answer.body[self.taken - 7 :])
        self.until(lambda answer: len(answer.body) >= self.taken or answer.body[self.taken - 7 :][:1] == b"\x88")
        if answer.body[self.taken - 7 :][:1] == b"\x88":
            with suppress(EOFError):
                self.send(close(1000), end=True)
            self.http.client.wire.flush()
        return bytes(answer.body[self.taken - 7 :][:7]) == b"\x81\x05hello"

    def go(self) -> None:
        if self.socket is None:
            assert self.open("/ok").status == 200
            self.socket = self.stream
        assert self.echo()

    def provoke(self, path: str) -> int:
        try:
            answer = self.open(path)
            if not answer.heads or answer.status != 200:
                return answer.status if answer.heads else 0
            if not self.echo():
                return 0
            self.send(close(1000), end=True)
            answer = self.until(lambda answer: answer.over)
        except ENDS:
            return 0
        return answer.status if answer.over and answer.reset is None else 0

    def hold(self) -> None:
        self.open("/ok")

    def leave(self) -> None:
        self.http.leave()


CARRIERS = ("h1", "h1-tls", "h2", "h2-tls", "h3", "ws-h1", "ws-h1-tls", "ws-h2", "ws-h2-tls", "ws-h3")
KINDS: dict[str, Any] = {
    "h1": HTTP1,
    "h2": HTTP2,
    "h3": HTTP3,
    "ws-h1": WebSocket1,
    "ws-h2": WebSocket2,
    "ws-h3": WebSocket3,
}
OK_STATUS = {"ws-h1": 101}
__all__ = ("CARRIERS", "GET", "KINDS", "OK_STATUS")
