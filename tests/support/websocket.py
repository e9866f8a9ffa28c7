"""WebSocket clients for tests: over a connection in memory, and over a raw socket."""

from __future__ import annotations

from typing import Any

from tests.support.harness import config
from tests.support.peer import Peer
from tests.wire.websocket_frames import Frame, close, frame, read_frames

from hypercorn.testing import Client, MemoryServer

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
Message = dict[str, Any]


def upgrade(target: str = "/ws", *fields: str, key: str = KEY, version: str = "13") -> bytes:
    """A handshake; `fields` are whole lines."""
    lines = [
        f"GET {target} HTTP/1.1",
        "host: a",
        "upgrade: websocket",
        "connection: Upgrade",
        f"sec-websocket-key: {key}",
        f"sec-websocket-version: {version}",
        *fields,
    ]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


class Script:
    """An application that accepts and echoes, keeping all that it receives. `before` and `after` are messages that it
    sends instead of accepting, and after it; `reads` is how many messages it reads (None: all)."""

    def __init__(self, *before: Message, after: Any = (), reads: int | None = None, echo: bool = True) -> None:
        self.before = before or ({"type": "websocket.accept"},)
        self.after = after
        self.reads = reads
        self.echo = echo
        self.scopes: list[Any] = []
        self.seen: list[Message] = []
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.seen.append(await receive())
        try:
            for message in (*self.before, *self.after):
                await send(dict(message))
            while self.reads is None or len(self.seen) <= self.reads:
                message = await receive()
                self.seen.append(message)
                if message["type"] == "websocket.disconnect":
                    return
                if self.echo:
                    await send({"type": "websocket.send", "text": message["text"], "bytes": message["bytes"]})
        except Exception as error:
            self.errors.append(error)
            raise

    @property
    def messages(self) -> list[Any]:
        """The text or bytes of what came."""
        return [
            each["text"] if each["text"] is not None else each["bytes"]
            for each in self.seen
            if each["type"] == "websocket.receive"
        ]

    @property
    def end(self) -> tuple[int, str] | None:
        """Code and reason of the one disconnect."""
        ends = [(each["code"], each["reason"]) for each in self.seen if each["type"] == "websocket.disconnect"]
        assert len(ends) < 2
        return ends[0] if ends else None


class MemoryWebSocket:
    """A WebSocket over a connection in memory."""

    def __init__(self, client: Client, *fields: str, rest: bytes = b"") -> None:
        self.client = client
        self.buffer = b""
        self.head = b""
        client.send(upgrade("/ws", *fields) + rest)

    def opened(self) -> MemoryWebSocket:
        """Checks that the handshake succeeded."""
        self.head, mark, self.buffer = self.client.received().partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head
        assert mark
        return self

    def header(self, name: bytes) -> bytes | None:
        """A field of the answer to the handshake."""
        found = [
            line.partition(b": ")[2]
            for line in self.head.split(b"\r\n")[1:]
            if line.lower().startswith(name.lower() + b": ")
        ]
        assert len(found) < 2
        return found[0] if found else None

    def send(self, *raw: bytes) -> None:
        """Sends frames."""
        self.client.send(b"".join(raw))

    def text(self, text: str) -> None:
        """Sends a text message."""
        self.send(frame(1, text.encode()))

    def frames(self) -> list[Frame]:
        """What has come since the last call."""
        raw, self.buffer = self.buffer + self.client.received(), b""
        return read_frames(raw)

    def messages(self) -> list[Any]:
        """The messages among that; there may be nothing else."""
        return [each.payload.decode() if each.opcode == 1 else each.payload for each in self.frames()]

    def closing(self) -> tuple[int, bytes]:
        """Code and reason of the close frame, which is all that has come."""
        (only,) = self.frames()
        assert only.opcode == 8
        return int.from_bytes(only.payload[:2], "big"), only.payload[2:]


def websocket(app: Any, *fields: str, eager: bool = True, rest: bytes = b"", **options: Any) -> MemoryWebSocket:
    """Connects to an application in memory, up to the answer of the handshake."""
    return MemoryWebSocket(MemoryServer(app, config(**options), eager=eager).connect(), *fields, rest=rest)


class LiveWebSocket:
    """A WebSocket over a raw socket."""

    def __init__(self, peer: Peer, *fields: str, rest: bytes = b"", target: str = "/ws") -> None:
        self.peer = peer
        peer.send(upgrade(target, *fields) + rest)
        self.status, self.headers, _ = peer.head()

    def send(self, opcode: int, data: bytes = b"", **more: Any) -> None:
        """Sends a frame."""
        self.peer.send(frame(opcode, data, **more))

    def close(self, code: int, reason: bytes = b"") -> None:
        """Sends a close frame."""
        self.peer.send(close(code, reason))

    def read(self) -> Frame:
        """The next frame."""
        head = self.peer.take(2)
        size = head[1]
        if size > 125:
            more = self.peer.take(2 if size == 126 else 8)
            head += more
            size = int.from_bytes(more, "big")
        (only,) = read_frames(head + self.peer.take(size))
        return only

    def closing(self) -> tuple[int, bytes]:
        """Code and reason of the close frame, which has to come next."""
        only = self.read()
        assert only.opcode == 8, only
        return int.from_bytes(only.payload[:2], "big"), only.payload[2:]
