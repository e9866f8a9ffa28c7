"""The contract between a worker and an event loop, which `asyncio/` and `trio/` fulfil."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Protocol, TypeVar

from hypercorn.protocol.ports import Connection, Context, Transport
from hypercorn.protocol.runtime import Runtime, Timer, Waiter

if TYPE_CHECKING:
    from hypercorn.asgi.exchange import ASGIExchange
    from hypercorn.config import Config
    from hypercorn.net.tls import LiveContext

_T = TypeVar("_T")


class Listener:
    """A socket that accepts connections."""

    def accept_waiting(self) -> Awaitable[None] | None:
        """Accepts what waits on the socket, which is about to be closed for good. Awaited where it has to be."""
        raise NotImplementedError

    def hold(self) -> None:
        """Takes nothing more from the socket, where what was taken before is lost by `close`."""

    def close(self) -> None:
        """Accepts no more."""
        raise NotImplementedError


class Acceptor(Protocol):
    """What takes new transports: a worker, or its listeners of `metrics_bind`."""

    config: Config
    shared: bool  # other processes accept on the same sockets

    @property
    def context(self) -> Context:
        """What its connections share."""

    def connected(self, transport: Transport, tls: LiveContext | None) -> None:
        """Takes a new transport. `tls`: the peer has to begin with a handshake."""

    def disconnected(self, connection: Connection) -> None:
        """A transport is closed."""


class StopEvent(Protocol):
    """An event of `threading` or `multiprocessing`, which is set to end the server."""

    def is_set(self) -> bool:
        """True from then on."""


class LoopRuntime(Runtime):
    """An event loop as a worker needs it, beyond what connections need.

    inner: what connections and exchanges get. It is an object of its own, of a compiled class that no Python class
        extends: a call of a method of one that is extended looks for the override first, which costs more than most
        of these methods do.
    """

    inner: Runtime

    def now(self) -> float:
        return self.inner.now()

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.inner.call_soon(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        return self.inner.call_at(when, callback)

    def waiter(self) -> Waiter:
        return self.inner.waiter()

    def wake(self, waiter: Waiter) -> None:
        self.inner.wake(waiter)

    def start(self, function: Callable[[], Coroutine[object, None, None]]) -> None:
        """Runs an async function in a background task of the server."""
        raise NotImplementedError

    def sleep_until(self, waiter: Waiter, seconds: float) -> Awaitable[None]:
        """Waits for `waiter`, or for `seconds`."""
        raise NotImplementedError

    def call_threadsafe(self, callback: Callable[[], object]) -> None:
        """Runs `callback` on the loop; for any thread. Raises RuntimeError when the loop has ended."""
        raise NotImplementedError

    def await_briefly(self, awaitable: Awaitable[_T]) -> Coroutine[object, None, _T | None]:
        """The result of an awaitable where it has one already, else None."""
        raise NotImplementedError

    def wait_although_cancelled(self, waiter: Waiter) -> Coroutine[object, None, None]:
        """Waits for a `waiter` in a task that was cancelled."""
        raise NotImplementedError

    def listen(self, worker: Acceptor, sock: socket.socket, tls: LiveContext | None) -> Awaitable[Listener]:
        """Accepts connections on a bound socket, for `worker.connected`."""
        raise NotImplementedError

    def listen_datagrams(self, sock: socket.socket, udp: object) -> Awaitable[Listener]:
        """Watches a datagram socket for a `runtime.udp.UDPSocket` or `ForwardedDatagrams`."""
        raise NotImplementedError

    def active_calls(self) -> int:
        """Application calls that have not ended."""
        raise NotImplementedError

    def open_calls(self) -> list[tuple[ASGIExchange, object]]:
        """The application calls that have not ended, the oldest first, with the coroutine of each, or None."""
        raise NotImplementedError

    def cancel_calls(self) -> None:
        """Cancels every application call."""
        raise NotImplementedError

    def report_handshake_failure(self, error: BaseException, transport: Transport) -> None:
        """A TLS handshake failed."""
        raise NotImplementedError
