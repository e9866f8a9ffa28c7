"""Clients of HTTP/1.1, HTTP/2, HTTP/3 and WebSocket with several requests open at once, all by the same methods."""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

from tests.protocol.test_http2_websocket import CONNECT
from tests.runtime.test_http2 import Client
from tests.runtime.test_tls import Certificates
from tests.support.http2 import GET, data, headers, reset
from tests.support.http3 import LiveClient
from tests.support.http3 import request as http3_request
from tests.support.live import Live
from tests.support.peer import request
from tests.support.websocket import LiveWebSocket
from tests.wire.websocket_frames import close, read_frames

H3_REQUEST_CANCELLED = 0x10C


def http3_options(certificates: Certificates) -> dict[str, Any]:
    """The server's options for HTTP/3."""
    return {"http3": True, "certfile": certificates.certfile, "keyfile": certificates.keyfile}


class Carrier:
    """The client's side of several exchanges. One is known by its path."""

    kind = "http"
    http3 = False

    def __init__(self, live: Live) -> None:
        self.live = live

    def open(self, path: str) -> None:
        """Begins an exchange; its response is not read yet."""
        raise NotImplementedError

    def leave(self, path: str) -> None:
        """Gives an exchange up, so that the server learns of it."""
        raise NotImplementedError

    def read(self, path: str) -> str:
        """The whole body of a response, or the texts of a WebSocket until it is closed, one after the other."""
        raise NotImplementedError

    def ask(self, path: str) -> str:
        """A request of its own, whatever `kind` is, and the body of its response."""
        self.open(path)
        return self.read(path)

    def close(self) -> None:
        """Closes what it has opened itself."""


def cut(sock: Any) -> None:
    """Closes a connection with a RST in the place of a FIN, as a client does whose process ends."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0))
    sock.close()


class OverHTTP1(Carrier):
    """A connection for each request."""

    def __init__(self, live: Live) -> None:
        super().__init__(live)
        self.peers: dict[str, Any] = {}

    def open(self, path: str) -> None:
        self.peers[path] = self.live.connect()
        self.peers[path].send(request(path))

    def leave(self, path: str) -> None:
        cut(self.peers[path].sock)

    def read(self, path: str) -> str:
        return str(self.peers[path].response().body.decode())


class OverHTTP2(Carrier):
    """A stream for each request."""

    def __init__(self, live: Live) -> None:
        super().__init__(live)
        self.client = Client(live.connect())
        self.streams: dict[str, int] = {}

    def new_stream(self, path: str) -> int:
        self.streams[path] = 2 * len(self.streams) + 1
        return self.streams[path]

    def open(self, path: str) -> None:
        self.client.send(headers(self.new_stream(path), [GET[0], GET[1], (b":path", path.encode()), GET[3]]))

    def leave(self, path: str) -> None:
        self.client.send(reset(self.streams[path]))

    def read(self, path: str) -> str:
        return bytes(self.client.answer(self.streams[path]).body).decode()


class OverHTTP3(Carrier):
    """A stream for each request."""

    http3 = True

    def __init__(self, live: Live) -> None:
        super().__init__(live)
        self.client = LiveClient(live.port).start()
        self.streams: dict[str, int] = {}

    def open(self, path: str) -> None:
        self.streams[path] = self.client.send(http3_request(path.encode()))
        self.client.wire.flush()

    def leave(self, path: str) -> None:
        self.client.quic.stop_stream(self.streams[path], H3_REQUEST_CANCELLED)
        self.client.wire.flush()

    def read(self, path: str) -> str:
        answer = self.client.answer(self.streams[path])
        self.client.wire.settle(lambda: answer.over)
        return answer.body.decode()

    def close(self) -> None:
        self.client.close()


class OverWebSocket(OverHTTP1):
    """WebSockets, each on a connection of its own."""

    kind = "websocket"

    def __init__(self, live: Live) -> None:
        super().__init__(live)
        self.sockets: dict[str, LiveWebSocket] = {}

    def open(self, path: str) -> None:
        self.peers[path] = self.live.connect()
        self.sockets[path] = LiveWebSocket(self.peers[path], target=path)

    def read(self, path: str) -> str:
        texts = []
        while (frame := self.sockets[path].read()).opcode != 8:
            texts.append(frame.payload.decode())
        return "".join(texts)

    def ask(self, path: str) -> str:
        OverHTTP1.open(self, path)
        return OverHTTP1.read(self, path)


class WebSocketOverHTTP2(OverHTTP2):
    """WebSockets on streams (RFC 8441)."""

    kind = "websocket"

    def open(self, path: str) -> None:
        fields = [(name, path.encode() if name == b":path" else value) for name, value in CONNECT]
        self.client.send(headers(self.new_stream(path), fields, False))

    def read(self, path: str) -> str:
        stream = self.streams[path]
        texts: list[str] = []

        def closed() -> bool:
            answer = self.client.reader.answers.get(stream)
            try:
                frames = read_frames(answer.body) if answer is not None else []
            except (AssertionError, IndexError):
                return False  # the last one is cut
            texts[:] = [frame.payload.decode() for frame in frames if frame.opcode == 1]
            return any(frame.opcode == 8 for frame in frames)

        while not closed():
            assert self.client.read(), "the connection ended"
        self.client.send(data(stream, close(1000), True))
        return "".join(texts)

    def ask(self, path: str) -> str:
        OverHTTP2.open(self, path)
        return OverHTTP2.read(self, path)


CARRIERS: list[type[Carrier]] = [OverHTTP1, OverHTTP2, OverHTTP3, OverWebSocket, WebSocketOverHTTP2]
