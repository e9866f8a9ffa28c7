"""Points at which a test makes a live server fail: once, on the connection of one client, with an error of its choice.

The server's classes are replaced by subclasses whose methods look first whether they are to raise. A compiled class
calls a method that a subclass in Python overrides as the pure one does, so one table of points serves both builds.
"""

from __future__ import annotations

import asyncio
import builtins
import errno
import os
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

import pytest
import trio

import hypercorn.asgi.gate
import hypercorn.asyncio.worker
import hypercorn.protocol.http1.upgrade
import hypercorn.protocol.http2.stream
import hypercorn.protocol.http2.upgrade
import hypercorn.protocol.quic.endpoint
import hypercorn.runtime.worker
from hypercorn import build


def system_error(number: int) -> OSError:
    """The error that Python raises for an errno."""
    return OSError(number, os.strerror(number))


class OutOfLine(BaseException):
    """An error that is no Exception."""


# What a library, the system or the server's own code may raise.
ERRORS: dict[str, Callable[[], Exception]] = {
    "EHOSTUNREACH": lambda: system_error(errno.EHOSTUNREACH),
    "ETIMEDOUT": lambda: system_error(errno.ETIMEDOUT),
    "ECONNABORTED": lambda: system_error(errno.ECONNABORTED),
    "SSLError": lambda: ssl.SSLError(1, "[SSL: BAD] bad"),
    "RuntimeError": lambda: RuntimeError("the handler is closed"),
    "KeyError": lambda: KeyError("of a library"),
    "AssertionError": AssertionError,
    "MemoryError": MemoryError,
}
# What an application may raise besides.
APP_ERRORS: dict[str, Callable[[], BaseException]] = {
    **ERRORS,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "GeneratorExit": GeneratorExit,
    "SystemExit": lambda: SystemExit(3),
    "CancelledError": asyncio.CancelledError,
    "BaseException": OutOfLine,
}
if sys.version_info >= (3, 11):
    Group, BaseGroup = builtins.ExceptionGroup, builtins.BaseExceptionGroup
    ERRORS["ExceptionGroup"] = APP_ERRORS["ExceptionGroup"] = lambda: Group("several", [ValueError("one")])
    APP_ERRORS["BaseExceptionGroup"] = lambda: BaseGroup("several", [OutOfLine(), KeyError("two")])


async def leaked_cancellation() -> BaseException:
    """trio's own Cancelled, kept beyond its scope."""
    leaked: BaseException = RuntimeError("no cancellation came")
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as error:
            leaked = error
    return leaked


class Faults:
    """What is to fail."""

    def __init__(self) -> None:
        self.armed: dict[tuple[int, str], Exception] = {}
        self.hits: list[str] = []

    def arm(self, port: int, point: str, error: Exception) -> None:
        """The next time that the connection of the client with this port comes to this point, it fails."""
        self.armed[port, point] = error

    def clear(self) -> None:
        self.armed.clear()
        self.hits.clear()

    def trip(self, port: int, point: str) -> None:
        """Raises what is armed for this point."""
        error = self.armed.pop((port, point), None)
        if error is not None:
            self.hits.append(point)
            raise error


FAULTS = Faults()


def port_of(thing: Any) -> int:
    """The port of the client of a connection, a stream or a transport."""
    client = getattr(thing, "client", None) or getattr(getattr(thing, "transport", None), "client", None)
    return int(client[1]) if client else 0


def failing(base: Any, prefix: str, *names: str, port: Callable[..., int] = port_of) -> Any:
    """A subclass whose methods of these names may fail."""

    def method(name: str) -> Any:
        inner = getattr(base, name)

        def run(self: Any, *args: Any, **options: Any) -> Any:
            FAULTS.trip(port(self, *args) if port is not port_of else port_of(self), f"{prefix}.{name}")
            return inner(self, *args, **options)

        return run

    return type(f"Failing{base.__name__}", (base,), {name: method(name) for name in names})


class Proxy:
    """Another object, some of whose methods may fail."""

    def __init__(self, inner: Any, port: int, prefix: str, *names: str) -> None:
        self.__dict__.update(inner=inner, port=port, prefix=prefix, names=names)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if name not in self.names:
            return found

        def run(*args: Any, **options: Any) -> Any:
            FAULTS.trip(self.port, f"{self.prefix}.{name}")
            return found(*args, **options)

        return run

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.inner, name, value)


class FailingSocket(socket.socket):
    """A socket of Python's, as asyncio and trio use them."""

    client_port = 0

    def send(self, *args: Any) -> int:
        FAULTS.trip(self.client_port, "socket.send")
        return super().send(*args)

    def recv(self, *args: Any) -> bytes:
        FAULTS.trip(self.client_port, "socket.recv")
        return super().recv(*args)

    def shutdown(self, how: int) -> None:
        FAULTS.trip(self.client_port, "socket.shutdown")
        super().shutdown(how)

    def close(self) -> None:
        super().close()
        FAULTS.trip(self.client_port, "socket.close")


LIFE = ("data_received", "eof_received", "connection_lost", "turn_ended", "expired", "pause_writing", "resume_writing")
HTTP1 = ("head_received", "piece_received", "advance", "need_data", "start", "body", "body_wanted", "finished")
HTTP2 = ("headers_received", "new_request", "data_frame", "body_received")
HTTP2_STREAM = ("request_complete", "begin_call")
HTTP3 = ("work", "handle", "request_data", "headers_received", "body_received", "transmit", "begin_calls")
WEBSOCKET = ("begin", "advance", "message_received", "send_message", "close_received")
QUIC = ("receive_datagram", "datagrams_to_send", "send_stream_data", "next_event")
TLS_OBJECT = ("do_handshake", "read", "write", "unwrap")
LOOP_TRANSPORT = ("write", "close", "abort", "write_eof", "pause_reading", "resume_reading")


def failing_connection(base: Any, prefix: str, *names: str) -> Any:
    """A connection that may fail in these methods and, in the pure build, in its codec."""
    made = failing(base, prefix, *LIFE, *names)
    if build() == "compiled":
        return made

    class WithCodec(made):  # type: ignore[misc]
        def __init__(self, transport: Any, *args: Any, **options: Any) -> None:
            super().__init__(transport, *args, **options)
            self.parser = Proxy(self.parser, port_of(transport), f"{prefix}.codec", "feed", "next_event")

    return WithCodec


def failing_http2(base: Any) -> Any:
    """An HTTP/2 connection that may fail, and so may its streams."""
    made = failing_connection(base, "http2", *HTTP2)
    stream_class = failing(hypercorn.protocol.http2.stream.HTTP2Stream, "http2", *HTTP2_STREAM)

    class WithStreams(made):  # type: ignore[misc]
        def new_stream(self, stream_id: int, window: int) -> Any:
            stream = self.streams[stream_id] = stream_class.__new__(stream_class)
            stream.writer = self.writer
            stream.open(self, stream_id, self.first_window, window)
            return stream

    return WithStreams


def failing_tls(base: Any) -> Any:
    """TLS whose engine may fail."""
    made = failing(base, "tls", "data_received", "eof_received", "connection_lost", "expired", "encrypt")

    class WithEngine(made):  # type: ignore[misc]
        def __init__(self, transport: Any, *args: Any) -> None:
            super().__init__(transport, *args)
            port = port_of(transport)
            self.ssl_object = Proxy(self.ssl_object, port, "tls.engine", *TLS_OBJECT)

    return WithEngine


def failing_loop_transport(base: Any) -> Any:
    """An `AsyncioTransport` whose loop's transport may fail."""

    class OverProxy(base):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            port = (transport.get_extra_info("peername") or (None, 0))[1]  # none where the client is gone
            super().connection_made(Proxy(transport, port, "loop", *LOOP_TRANSPORT))

    return OverProxy


def failing_quic(base: Any) -> Any:
    """A QUIC connection, which knows its client by the datagrams alone."""
    made = failing(base, "quic", *QUIC, port=lambda self, *_: getattr(self, "client_port", 0))

    class Knowing(made):  # type: ignore[misc]
        def receive_datagram(self, data: bytes, address: Any, now: float) -> None:
            self.client_port = address[1]
            super().receive_datagram(data, address, now)

    return Knowing


def install(patch: pytest.MonkeyPatch) -> None:
    """Puts the failing classes in the places of the server's."""
    worker = hypercorn.runtime.worker
    http2 = failing_http2(worker.HTTP2Connection)
    patch.setattr(worker, "HTTP1Connection", failing_connection(worker.HTTP1Connection, "http1", *HTTP1))
    patch.setattr(worker, "HTTP2Connection", http2)
    patch.setattr(hypercorn.protocol.http2.upgrade, "HTTP2Connection", http2)
    patch.setattr(worker, "TLSConnection", failing_tls(worker.TLSConnection))
    opening = ("open_http", "open_websocket")
    gate = hypercorn.asgi.gate
    patch.setattr(
        gate,
        "StreamContext",
        failing(gate.StreamContext, "context", *opening, port=lambda _, connection, *__: port_of(connection)),
    )
    socket_class = failing_connection(hypercorn.protocol.http1.upgrade.WebSocketConnection, "websocket", *WEBSOCKET)
    patch.setattr(hypercorn.protocol.http1.upgrade, "WebSocketConnection", socket_class)
    quic = hypercorn.protocol.quic.endpoint
    patch.setattr(quic, "HTTP3Connection", failing(quic.HTTP3Connection, "http3", *LIFE[2:5], *HTTP3))
    patch.setattr(quic, "ServerConnection", failing_quic(quic.ServerConnection))
    transport = hypercorn.asyncio.worker.AsyncioTransport
    patch.setattr(hypercorn.asyncio.worker, "AsyncioTransport", failing_loop_transport(transport))
    accept = socket.socket.accept

    def accept_failing(self: socket.socket) -> Any:
        accepted, address = accept(self)
        made = FailingSocket(accepted.family, accepted.type, accepted.proto, accepted.detach())
        if isinstance(address, tuple):
            made.client_port = address[1]
        return made, address

    patch.setattr(socket.socket, "accept", accept_failing)
