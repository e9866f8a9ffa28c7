"""The contracts of a worker: as its own parts see it, and as its link to whoever started it sees it.

The parts (TLS, QUIC, operations, management, the watchdog) know only `WorkerBase`, and the worker knows the parts. A
`Link` is the supervisor's process, or the command in this one. Nothing here knows of processes; `supervisor/` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hypercorn.asgi.gate import Health
    from hypercorn.asgi.slow import SlowRequests
    from hypercorn.asgi.streams import StreamContext
    from hypercorn.config import Config
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.metrics import Board
    from hypercorn.net.tls import LiveContext
    from hypercorn.protocol.limits import Limits
    from hypercorn.protocol.ports import Connection, Transport
    from hypercorn.protocol.runtime import Waiter
    from hypercorn.runtime.deadlines import Deadlines
    from hypercorn.runtime.handshakes import Handshakes
    from hypercorn.runtime.ports import Listener, LoopRuntime

    class Trace(Protocol):
        """A `runtime.trace.Trace`. `ended`: why it is over, "" before."""

        ended: str

        def connection(self, transport: Transport) -> Connection | None:
            """What a new transport gets in the place of its protocol's connection."""

        def fetch(self) -> dict[str, object]:
            """The oldest records."""

        def end(self, reason: str) -> None:
            """Traces nothing more."""


class OperationsBase:
    """The operator's side of a worker, as the worker's other parts see it."""

    health: Health
    board: Board | None
    open: int  # connections, where they are counted
    limit: float  # ... and how many there may be

    def trusts(self, client: tuple[str, int] | None) -> bool:
        """Returns True if forwarding headers of that peer count."""
        raise NotImplementedError

    def admit_client(self, transport: Transport) -> bool:
        """Counts a transport for its client. Returns False for one too many."""
        raise NotImplementedError

    def forget_client(self, transport: Transport) -> None:
        """The connection of a transport has ended."""
        raise NotImplementedError

    def publish(self, state: str = "") -> None:
        """Makes the counts seen by others."""
        raise NotImplementedError


class WorkerBase:
    """A worker as its parts and its link see it."""

    config: Config
    log: ErrorLog
    link: Link
    limits: Limits
    context: StreamContext
    runtime: LoopRuntime
    deadlines: Deadlines
    handshakes: Handshakes
    tls: LiveContext | None
    slow: SlowRequests | None  # where slow requests are remembered
    app: Callable[..., Awaitable[object]]
    trace: Trace | None  # the last one
    operations: OperationsBase
    ready: bool  # it serves, and nothing has asked it to stop
    stop_reason: str  # what asked it to stop
    shared: bool  # other processes accept on the same sockets
    last_owner: bool  # nobody else will accept what waits on its sockets
    shutdown_delay: float
    grace: float  # seconds that open requests have at the stop
    empty_waiter: Waiter | None  # waiter for the end of the last connection and call

    # -- for its parts

    def begin(self, transport: Transport, tls: LiveContext | None, rest: bytes = b"") -> None:
        """Puts a connection on a transport. `rest`: what the transport has received already."""
        raise NotImplementedError

    def open_connection(self, transport: Transport) -> Connection:
        """The connection of the protocol that the peer chose."""
        raise NotImplementedError

    def protocol_connection(self, transport: Transport) -> Connection:
        """The same, without a trace."""
        raise NotImplementedError

    def handshake_failed(self, error: BaseException, transport: Transport) -> None:
        """A TLS handshake failed."""
        raise NotImplementedError

    def disconnected(self, connection: Connection) -> None:
        """A transport is closed."""
        raise NotImplementedError

    def announce(self, text: str) -> None:
        """Says in the log what a socket is for, or has the starter say it."""
        raise NotImplementedError

    async def accept_waiting(self, listeners: Sequence[Listener]) -> None:
        """Accepts what waits on sockets that nobody else is left to accept on."""
        raise NotImplementedError

    async def wait_for_accepted(self, listeners: Sequence[Listener] = ()) -> None:
        """Waits until what a loop's own listeners have accepted just now has become connections."""
        raise NotImplementedError

    def notify_if_empty(self) -> None:
        """A connection or a call has ended: wakes who waits for the last one."""
        raise NotImplementedError

    # -- for its link

    def end_idle_at_once(self) -> None:
        """At the stop, connections without a request end without `idle_grace`."""
        raise NotImplementedError

    def interrupt(self, reason: str = "") -> None:
        """Asks the worker to stop, even inside of the application's startup."""
        raise NotImplementedError

    def stop_at_once(self, reason: str = "") -> None:
        """Asks the worker to end at once."""
        raise NotImplementedError

    def on_interrupt(self, name: str) -> None:
        """Takes a signal of somebody at a terminal."""
        raise NotImplementedError

    def on_terminate(self) -> None:
        """Takes a SIGTERM, which asks for a graceful end."""
        raise NotImplementedError

    def reload_certificates(self) -> bool:
        """Reads the files of TLS again. False where they cannot be used."""
        raise NotImplementedError


class Link:
    """The starter of a worker, which is told of its life; this one does nothing, as `serve()` in another program."""

    shared = False  # other processes accept on the same sockets
    supervised = False  # a terminal's SIGINT is not for this process
    logs_addresses = True  # the worker logs where it runs
    owns_process = False  # the process serves and does nothing else
    app: object = None  # the application, where it was loaded ahead
    tls: LiveContext | None = None  # where one was made ahead

    def attach(self, worker: WorkerBase, call: Callable[[Callable[[], object]], object]) -> None:
        """The worker's loop runs. `call` runs a function on it, from any thread."""

    def signals(self) -> dict[str, Callable[[], None]]:
        """Signals to handle beside those that end the worker: what to do on the loop, by name."""
        return {}

    def started(self, addresses: list[str], announced: list[str]) -> None:
        """The worker accepts connections at these URLs. `announced`: what the log says of its sockets."""

    def notice(self, text: str) -> bool:
        """The worker has something to say at INFO that is true for all workers. True where the starter logs it."""
        return False

    def recycle(self, reason: str) -> bool:
        """The worker has done as much as it should. True where it goes on until it is told to stop."""
        return False

    def stopping(self) -> None:
        """The worker was asked to stop, and begins to drain."""

    def drained(self) -> None:
        """The worker's last connection has ended; the application's shutdown comes next."""

    def over(self, failure: BaseException | None, seconds: float) -> None:
        """The application's shutdown has ended, and `failure` is what went wrong with the server. Threads of the
        application that still run have so many seconds."""
