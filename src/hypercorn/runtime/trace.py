"""A trace: what some clients' connections carry, and the ASGI messages of their requests, for `hypercorn ctl trace`.

While a trace runs, a new connection of such a client has a `TracedConnection` between its transport and its protocol,
below the protocol and above TLS, and the application is called through a wrapper. Without a trace neither is there.
Records wait in memory until they are fetched, and nothing of them is written here: the client of the control socket
takes out what is secret before it writes a file.
"""

from __future__ import annotations

import base64
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from types import MethodType
from typing import TYPE_CHECKING

from hypercorn.asgi.exchange import ASGIExchange
from hypercorn.net.proxies import TrustedProxies
from hypercorn.protocol.ports import Connection, Transport

if TYPE_CHECKING:
    from hypercorn.asgi.messages import Message, Receive, Scope, Send
    from hypercorn.protocol.runtime import Timer
    from hypercorn.runtime.contract import WorkerBase

MAX_WAITING_BYTES = 4 * 1024 * 1024  # bytes of records that wait to be fetched; then the trace ends
MAX_ANSWER_BYTES = 512 * 1024  # bytes of records that are fetched at a time
MAX_SECONDS = 3600.0  # seconds of a trace
UNFETCHED_SECONDS = 10.0  # seconds after which a trace ends that nobody fetches from
RECORD_BYTES = 200  # bytes that a record counts for beside its data
PIECE_BYTES = 65536  # bytes of data in one record

NOTHING: Mapping[str, object] = {}
App = Callable[..., Awaitable[object]]
Client = tuple[str, int]


class Trace:
    """One trace in one worker. Everything of it is for the loop's thread."""

    def __init__(self, worker: WorkerBase, clients: list[str], seconds: float) -> None:
        """Raises ValueError for what is no address, network, "unix" or "*"."""
        self.worker = worker
        self.clients = TrustedProxies(clients)  # whose matching of addresses is what a trace needs
        self.records: deque[dict[str, object]] = deque()
        self.sizes: deque[int] = deque()
        self.waiting = 0  # bytes of records
        self.connections = 0  # that were numbered
        self.calls = 0  # likewise
        self.ended = ""  # why it is over
        now = worker.runtime.now()
        self.until = now + min(seconds, MAX_SECONDS)
        self.fetched_at = now
        self.timer: Timer | None = None

    def start(self) -> None:
        """Traces connections and calls from now on."""
        self.worker.trace = self
        self.worker.context.app = self.around(self.worker.app)
        self.check()

    def check(self) -> None:
        """Ends the trace in time, also where whoever started it is gone."""
        now = self.worker.runtime.now()
        if now >= self.until:
            self.end("time")
        elif now - self.fetched_at > UNFETCHED_SECONDS:
            self.end("nobody fetches it")
        else:
            self.timer = self.worker.runtime.call_at(min(self.until, now + UNFETCHED_SECONDS / 4), self.check)

    def end(self, reason: str) -> None:
        """Traces nothing more. What was recorded can still be fetched."""
        if self.ended:
            return
        self.ended = reason
        if self.timer is not None:
            self.timer.cancel()
        if self.worker.trace is self:
            self.worker.context.app = self.worker.app

    def fetch(self) -> dict[str, object]:
        """The oldest records, which are forgotten here. `ended`: why no more will come, or None."""
        self.fetched_at = self.worker.runtime.now()
        taken: list[dict[str, object]] = []
        size = 0
        while self.records and size < MAX_ANSWER_BYTES:
            taken.append(self.records.popleft())
            size += self.sizes.popleft()
        self.waiting -= size
        return {"records": taken, "ended": self.ended if self.ended and not self.records else None}

    def add(self, number: int | None, what: str, fields: Mapping[str, object] = NOTHING, size: int = 0) -> None:
        """Records something of a connection (None: of one that was open before the trace)."""
        if self.ended:
            return
        self.records.append({"at": time.time(), "connection": number, "what": what, **fields})
        self.sizes.append(size + RECORD_BYTES)
        self.waiting += size + RECORD_BYTES
        if self.waiting > MAX_WAITING_BYTES:
            self.end("too much at a time")

    def data(self, number: int, what: str, data: bytes) -> None:
        """Records bytes."""
        for begin in range(0, len(data), PIECE_BYTES):
            piece = base64.b64encode(data[begin : begin + PIECE_BYTES]).decode("ascii")
            self.add(number, what, {"data": piece}, len(piece))

    # -- connections

    def connection(self, transport: Transport) -> Connection | None:
        """What a new transport gets in the place of its protocol's connection. None where it is not traced."""
        if self.ended or not self.clients.trusts(transport.client):
            return None
        self.connections += 1
        return TracedConnection(transport, self, self.connections)

    # -- the application

    def around(self, app: App) -> App:
        """The application, whose messages are recorded where the client matches."""

        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            exchange = getattr(receive, "__self__", None)
            if self.ended or not isinstance(exchange, ASGIExchange) or not self.matches(scope, exchange):
                await app(scope, receive, send)
            else:
                await self.call(app, exchange, scope, receive, send)

        return traced

    def matches(self, scope: Scope, exchange: ASGIExchange) -> bool:
        """True for a client, as the connection has it or as a trusted proxy has named it."""
        client = scope["client"]
        return self.clients.trusts(exchange.connection.transport.client) or self.clients.trusts(client)

    async def call(self, app: App, exchange: ASGIExchange, scope: Scope, receive: Receive, send: Send) -> None:
        """A call of the application."""
        transport = exchange.connection.transport
        number = transport.number if isinstance(transport, TracedTransport) else None
        self.calls += 1
        identity = self.calls

        def add(what: str, **fields: object) -> None:
            self.add(number, what, {"call": identity, **fields})

        method = scope.get("method", "")
        path = scope["raw_path"].decode("ascii", "backslashreplace")
        client = scope["client"]
        add("call", kind=scope["type"], method=method, path=path, http=scope["http_version"], client=client)

        async def receive_traced(_: object) -> Message:
            message: Message = await receive()
            add("receive", **described(message))
            return message

        async def traced_send(message: Message) -> None:
            found = described(message)
            try:
                await send(message)
            except BaseException as error:
                add("send", **found, error=repr(error)[:200])
                raise
            add("send", **found)

        # A method of the same object as before: who looks for the exchange of a `receive` finds it.
        traced_receive = MethodType(receive_traced, exchange)
        try:
            await app(scope, traced_receive, traced_send)
        except BaseException as error:
            add("raised", error=repr(error)[:200])
            raise
        add("returned")


def described(message: Message) -> dict[str, object]:
    """What is recorded of an ASGI message: its type, sizes, and what else is short. It may be anything."""
    if not isinstance(message, dict):
        return {"type": type(message).__name__}
    found: dict[str, object] = {"type": str(message.get("type"))[:100]}
    for key in ("body", "bytes", "text"):
        value = message.get(key)
        if isinstance(value, (bytes, str)):
            found[f"{key}_size"] = len(value)
    for key in ("status", "more_body", "code", "reason", "trailers", "more_trailers", "subprotocol"):
        value = message.get(key)
        if isinstance(value, (str, int, bool)):
            found[key] = value[:200] if isinstance(value, str) else value
    return found


class TracedTransport(Transport):
    """The transport as the protocol's connection has it, above another."""

    def __init__(self, lower: Transport, trace: Trace, number: int) -> None:
        super().__init__(lower.runtime)
        self.lower = lower
        self.trace = trace
        self.number = number
        self.client = lower.client
        self.server = lower.server
        self.scheme = lower.scheme
        self.tls = lower.tls
        self.trusted = lower.trusted

    def send_bytes(self, data: bytes) -> None:
        self.trace.data(self.number, "out", data)
        self.lower.write(data)
        if not self.lower.turn:
            self.lower.flush()

    def unsent(self) -> int:
        return self.lower.unsent()

    def close(self) -> None:
        self.flush()
        self.trace.add(self.number, "closes")
        self.lower.close()

    def abort(self) -> None:
        self.trace.add(self.number, "aborts")
        self.lower.abort()

    def write_eof(self) -> None:
        self.flush()
        self.trace.add(self.number, "half-closes")
        self.lower.write_eof()

    def pause_reading(self) -> None:
        self.reading_paused = True
        self.lower.pause_reading()

    def resume_reading(self) -> None:
        self.reading_paused = False
        self.lower.resume_reading()

    def get_extra_info(self, name: str) -> object:
        return self.lower.get_extra_info(name)


class TracedConnection(Connection):
    """The lower transport's connection, which hands all to the protocol's."""

    def __init__(self, transport: Transport, trace: Trace, number: int) -> None:
        super().__init__(transport, trace.worker.context)
        self.trace = trace
        self.number = number
        self.plain = TracedTransport(transport, trace, number)

    def take_over(self, rest: bytes) -> None:
        version = getattr(self.transport.get_extra_info("ssl_object"), "version", None)
        self.trace.add(
            self.number,
            "open",
            {
                "client": self.transport.client,
                "server": self.transport.server,
                "tls": None if version is None else version(),
                "alpn": self.transport.get_extra_info("alpn") if version is not None else None,
            },
        )
        self.plain.hand_over(self.trace.worker.protocol_connection(self.plain))
        if rest:
            self.data_received(rest)

    def data_received(self, data: bytes) -> None:
        self.trace.data(self.number, "in", data)
        self.plain.received(data)

    def eof_received(self) -> None:
        self.trace.add(self.number, "client half-closes")
        if self.plain.connection is None:
            self.transport.close()
        else:
            self.plain.connection.eof_received()

    def connection_lost(self) -> None:
        self.trace.add(self.number, "lost")
        connection, self.plain.connection = self.plain.connection, None
        if connection is not None:
            connection.connection_lost()
            # It leaves as one that this takes over: the transport's end is counted once, for this.
            self.context.replaced(connection, self)
            self.trace.worker.deadlines.connections.discard(self)

    def pause_writing(self) -> None:
        self.plain.pause_output()

    def resume_writing(self) -> None:
        self.plain.resume_output()

    def expired(self, now: float) -> None:
        self.deadline = 0.0

    def shutdown(self) -> None:
        """The protocol's connection, which the worker knows too, ends this."""

    def abort(self) -> None:
        self.transport.abort()
