"""The mixed load of `bench.soak`: its application, and its clients: polite ones, and those that break off.

Every actor does one small thing again and again, with a pause between. What a client that keeps to the rules does not
get is a failure; what becomes of a client that broke off itself is no matter.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import websockets.asyncio.client
import websockets.exceptions

HELLO = b"Hello, world!"
PIECE = b"a" * 1000
PIECES = 20
PATIENCE = 20.0  # seconds for one exchange


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/ greets, /echo returns the body, /stream sends pieces, /count counts the worker's objects; WebSockets echo."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            message = await receive()
            await send({"type": f"{message['type']}.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(PIECES):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body"})
    else:
        content, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content, more = content + message.get("body", b""), message.get("more_body", False)
        if scope["path"] == "/count":
            content = count()
        elif scope["path"] == "/":
            content = HELLO
        length = [(b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        await send({"type": "http.response.body", "body": content})


def count() -> bytes:
    """Process, tasks, threads and objects of a worker."""
    gc.collect()
    return b"%d %d %d %d" % (os.getpid(), len(asyncio.all_tasks()), threading.active_count(), len(gc.get_objects()))


class Broken(Exception):
    """A server did not do its part."""


def cut_off(writer: asyncio.StreamWriter) -> None:
    """Ends a connection by a reset."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Load:
    """Clients of one server: `http` its plain port, `https` that of TLS and HTTP/3 (0: none)."""

    def __init__(self, http: int, https: int, seed: int) -> None:
        self.http, self.https = http, https
        self.chance = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.answers = 0  # requests and messages that came back as they should
        self.tasks: list[asyncio.Task[None]] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname, self.tls.verify_mode = False, ssl.CERT_NONE
        self.h2 = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.h2.check_hostname, self.h2.verify_mode = False, ssl.CERT_NONE
        self.h2.set_alpn_protocols(["h2"])

    def start(self) -> None:
        """Lets all actors play, at the pace in seconds that stands beside each."""
        actors: list[tuple[Callable[[], Awaitable[None]], float]] = [
            (self.http1, 0.1),
            (self.http1_tls, 0.3),
            (self.http1_breaks, 0.15),
            (self.http2, 0.3),
            (self.http2_breaks, 0.4),
            (self.websocket, 0.4),
            (self.websocket_tls, 0.7),
            (self.websocket_breaks, 0.5),
        ]
        try:
            import aioquic  # noqa: F401

            actors += [(self.http3, 2.0), (self.http3_breaks, 3.0)]
        except ImportError:
            pass
        self.tasks = [asyncio.create_task(self.repeat(actor, pace)) for actor, pace in actors]

    async def stop(self) -> None:
        """Ends all of them, whatever they are doing."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks = []

    async def repeat(self, actor: Callable[[], Awaitable[None]], pace: float) -> None:
        name = getattr(actor, "__name__", "")
        while True:
            await asyncio.sleep(self.chance.uniform(0.5, 1.5) * pace)
            try:
                await asyncio.wait_for(actor(), PATIENCE)
                self.done[name] += 1
            except (Broken, OSError, EOFError, asyncio.TimeoutError, websockets.exceptions.WebSocketException) as error:
                self.failed[f"{name}: {type(error).__name__} {error}"[:100]] += 1

    # -- HTTP/1.1

    async def open(self, tls: ssl.SSLContext | None = None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.https if tls else self.http, ssl=tls)

    async def ask(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes, body: bytes = b""
    ) -> bytes:
        """One request and the body of its answer."""
        writer.write(
            head + b"\r\nHost: a\r\n" + (b"Content-Length: %d\r\n\r\n" % len(body) if body else b"\r\n") + body
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise Broken(f"answered {answer[:40]!r}")
        length = answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if length:
            return await reader.readexactly(int(length))
        content = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            content += (await reader.readexactly(size + 2))[:size]
        await reader.readexactly(2)
        return content

    async def http1(self, tls: ssl.SSLContext | None = None) -> None:
        """Some requests on a connection that is kept."""
        reader, writer = await self.open(tls)
        try:
            for _ in range(self.chance.randrange(1, 8)):
                body = b"b" * self.chance.randrange(1, 40_000)
                for head, sent, wanted in (
                    (b"GET / HTTP/1.1", b"", HELLO),
                    (b"POST /echo HTTP/1.1", body, body),
                    (b"GET /stream HTTP/1.1", b"", PIECE * PIECES),
                ):
                    if await self.ask(reader, writer, head, sent) != wanted:
                        raise Broken("another body")
                    self.answers += 1
            writer.close()
        except BaseException:
            writer.transport.abort()
            raise

    async def http1_tls(self) -> None:
        await self.http1(self.tls)

    async def http1_breaks(self) -> None:
        """Breaks off: within a head, a body, an answer, a pipeline, a handshake; or sends what is no HTTP."""
        sent = self.chance.choice(
            (
                b"GET / HTTP/1.1\r\nHo",
                b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999\r\n\r\nhalf",
                b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
                b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" * 8,
                b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
                b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01\x00",
                b"",
            )
        )
        port = self.chance.choice((self.http, self.http, self.https))
        with suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            if self.chance.random() < 0.6:
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(reader.read(self.chance.randrange(1, 3000)), 0.2)
            if self.chance.random() < 0.5:
                cut_off(writer)
            else:
                writer.close()

    # -- HTTP/2

    async def http2(self, break_off: bool = False) -> None:
        """Some streams at once, on one connection over TLS."""
        reader, writer = await self.open(self.h2)
        try:
            peer = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
            peer.initiate_connection()
            waiting: dict[int, tuple[bytes, bytes]] = {}
            for path, body in ((b"/", b""), (b"/echo", b"c" * 9000), (b"/stream", b""), (b"/echo", b"d" * 50)):
                stream = peer.get_next_available_stream_id()
                fields = [(b":method", b"POST" if body else b"GET"), (b":scheme", b"https"), (b":path", path)]
                peer.send_headers(stream, [*fields, (b":authority", b"a")], end_stream=not body)
                if body:
                    peer.send_data(stream, body, end_stream=True)
                waiting[stream] = (body or (HELLO if path == b"/" else PIECE * PIECES), b"")
            if break_off and self.chance.random() < 0.5:
                for stream in list(waiting)[:3]:
                    peer.reset_stream(stream, 8)
                    del waiting[stream]
            writer.write(peer.data_to_send())
            if break_off and self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.random() * 0.02)
                cut_off(writer)
                return
            while waiting:
                data = await reader.read(65536)
                if not data:
                    raise Broken("ended before its answers")
                self.take(peer, data, waiting)
                writer.write(peer.data_to_send())
            peer.close_connection()
            writer.write(peer.data_to_send())
            writer.close()
        except BaseException:
            writer.transport.abort()
            raise

    def take(self, peer: Any, data: bytes, waiting: dict[int, tuple[bytes, bytes]]) -> None:
        """Notes what an HTTP/2 server says."""
        for event in peer.receive_data(data):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.DataReceived):
                peer.acknowledge_received_data(event.flow_controlled_length, stream)
                if stream in waiting:
                    waiting[stream] = (waiting[stream][0], waiting[stream][1] + event.data)
            elif isinstance(event, h2.events.StreamEnded) and stream in waiting:
                wanted, got = waiting.pop(stream)
                if wanted != got:
                    raise Broken(f"another body on HTTP/2: {len(got)} of {len(wanted)} bytes")
                self.answers += 1
            elif isinstance(event, h2.events.StreamReset) and stream in waiting:
                raise Broken(f"a stream was reset: {event.error_code}")

    async def http2_breaks(self) -> None:
        """Resets streams, or the connection."""
        with suppress(OSError, Broken, h2.exceptions.ProtocolError):
            await self.http2(True)

    # -- WebSocket

    async def websocket(self, tls: ssl.SSLContext | None = None, break_off: bool = False) -> None:
        """Some messages there and back, compressed."""
        port = self.https if tls else self.http
        uri = f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/"
        peer = await websockets.asyncio.client.connect(uri, ssl=tls, close_timeout=2)
        try:
            for _ in range(self.chance.randrange(1, 10)):
                message: str | bytes = "é" * self.chance.randrange(1, 3000)
                if self.chance.random() < 0.3:
                    message = os.urandom(self.chance.randrange(1, 30_000))
                await peer.send(message)
                if break_off and self.chance.random() < 0.4:
                    return
                if await peer.recv() != message:
                    raise Broken("another message")
                self.answers += 1
            await peer.close()
        finally:
            peer.transport.abort()

    async def websocket_tls(self) -> None:
        await self.websocket(self.tls)

    async def websocket_breaks(self) -> None:
        """Goes without a word."""
        with suppress(OSError, websockets.exceptions.WebSocketException):
            await self.websocket(break_off=True)

    # -- HTTP/3

    async def http3(self, break_off: bool = False) -> None:
        """Some streams on a connection of QUIC."""
        from bench.soak_quic import exchange

        requests = [(b"/", b""), (b"/echo", b"e" * 5000), (b"/stream", b"")]
        await exchange(self.https, requests, break_off)
        if not break_off:
            self.answers += len(requests)

    async def http3_breaks(self) -> None:
        """Goes without closing: the server's idle timeout ends it."""
        with suppress(OSError, Broken, asyncio.TimeoutError):
            await self.http3(True)
