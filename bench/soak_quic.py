"""The HTTP/3 client of `bench.soak`, on aioquic."""

from __future__ import annotations

import asyncio
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated

from bench.soak_load import HELLO, PIECE, PIECES, Broken


class Client(QuicConnectionProtocol):
    """Gathers the bodies of its streams."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.h3 = H3Connection(self._quic)
        self.bodies: dict[int, bytes] = {}
        self.ended: dict[int, asyncio.Future[bytes]] = {}

    def quic_event_received(self, event: Any) -> None:
        """Called by aioquic."""
        if isinstance(event, ConnectionTerminated):
            for future in self.ended.values():
                if not future.done():
                    future.set_exception(Broken(f"QUIC ended: {event.reason_phrase or event.error_code}"))
            return
        for each in self.h3.handle_event(event):
            if isinstance(each, DataReceived | HeadersReceived) and each.stream_id in self.ended:
                if isinstance(each, DataReceived):
                    self.bodies[each.stream_id] += each.data
                if each.stream_ended and not self.ended[each.stream_id].done():
                    self.ended[each.stream_id].set_result(self.bodies[each.stream_id])

    def ask(self, path: bytes, body: bytes) -> asyncio.Future[bytes]:
        """Sends a request. The future becomes its answer's body."""
        stream = self._quic.get_next_available_stream_id()
        self.bodies[stream], self.ended[stream] = b"", asyncio.get_running_loop().create_future()
        fields = [(b":method", b"POST" if body else b"GET"), (b":scheme", b"https"), (b":authority", b"a")]
        self.h3.send_headers(stream, [*fields, (b":path", path)], end_stream=not body)
        if body:
            self.h3.send_data(stream, body, True)
        self.transmit()
        return self.ended[stream]


async def exchange(port: int, requests: list[tuple[bytes, bytes]], break_off: bool) -> None:
    """A connection with so many requests (path and body) at once; it is left without a word to break off."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["h3"], verify_mode=0, server_name="localhost")
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=Client) as peer:
        assert isinstance(peer, Client)
        futures = [peer.ask(path, body) for path, body in requests]
        if break_off:
            await asyncio.sleep(0.01)
            peer._transport.abort()
            for future in futures:
                future.cancel()
            return
        for (path, body), future in zip(requests, futures, strict=True):
            if await future != (body or (HELLO if path == b"/" else PIECE * PIECES)):
                raise Broken("another body on HTTP/3")
