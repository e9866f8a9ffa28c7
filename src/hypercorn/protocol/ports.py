"""The contracts between the protocol floor and the floors around it: base classes that these fill.

Below a connection is a `Transport`, beside it a `Runtime`, above it an `Exchange` for each request or WebSocket, which
a `Context` opens. They are classes rather than typing protocols so that, compiled, a call across a floor is a C call.

    transport -> connection   data_received  eof_received  connection_lost  pause_writing  resume_writing
    connection -> transport   write  write_part  close  abort  write_eof  pause_reading  resume_reading  get_extra_info
    connection -> exchange    body_received  disconnected  writable  message_received  closed
    exchange -> connection    start  body  trailers  hint  push  reset  accept  body_wanted  body_consumed  finished

No method of these blocks, and none raises because of a peer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hypercorn.objects import part_of
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.records import Records
from hypercorn.protocol.response_fields import ResponseFields
from hypercorn.protocol.runtime import Runtime
from hypercorn.protocol.turns import DEFERRED, GATHER_SECONDS, IN_TURN, NO_TURN, QUICK_STEPS, TURN_SECONDS
from hypercorn.wire.head import RequestHead
from hypercorn.wire.http1 import FieldMemory
from hypercorn.wire.http2_writer import FieldLines
from hypercorn.wire.writing import FieldEncoder

if TYPE_CHECKING:
    from hypercorn.protocol.websocket.handshake import Handshake
    from hypercorn.protocol.websocket.settings import WebSocketSettings

GATHER_BYTES = 65536  # bytes gathered before a write leaves even though its turn has not ended


class Transport:
    """Bytes to and from one peer. Writes of one turn are gathered and leave together when the turn ends.

    A turn is one batch of input, with the first steps of the applications that it comes to. What an application writes
    in a later step leaves with the last message of its response, before the application waits for the server, or when
    it was gathered for GATHER_SECONDS; else in the loop's next round.
    """

    __slots__ = (
        "client",
        "connection",
        "end_turn_scheduled",
        "end_turn_wanted",
        "flushed_at",
        "gather",
        "out",
        "out_size",
        "reading_paused",
        "runtime",
        "scheme",
        "scope_template",
        "server",
        "tls",
        "trusted",
        "turn",
        "turn_at",
        "writing_paused",
    )

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.connection: Connection | None = None
        self.out: list[bytes | memoryview] = []
        self.out_size = 0
        self.gather = GATHER_BYTES
        self.turn = NO_TURN
        self.end_turn_scheduled = False
        self.reading_paused = False  # the connection has asked for no more input
        self.writing_paused = False  # it was told that too much output waits
        self.end_turn_wanted = False  # something waits for the end of the turn
        self.turn_at = 0.0  # when the turn began
        self.flushed_at = 0.0  # when it began, or what an application's step gathers first, or output left last
        # What a scope says of the transport (ASGI HTTP scope): `client`, `server` and `scheme`.
        self.client: tuple[str, int] | None = None
        self.server: tuple[str, int | None] | None = None
        self.scheme = "http"
        self.tls: dict[str, object] | None = None  # what scopes say of TLS (ASGI TLS extension)
        self.trusted = False  # the peer is a proxy whose forwarding fields count
        self.scope_template: Any = None  # what the scopes of its requests have in common

    def hand_over(self, successor: Connection, rest: bytes = b"") -> None:
        """Puts `successor` on the transport, in the place of the connection that is there, if any.

        Every change of protocol is this one operation: prior knowledge, `Upgrade: h2c`, WebSocket, the end of a PROXY
        header, and of a TLS handshake. The connection that was there waits for nothing any more, and its deadline is
        off; its successor's is swept from now on. The successor learns whether output waits and whether the server
        stops, and gets `rest`, the bytes that were received and not used. Reading goes on where it was paused.
        """
        predecessor = self.connection
        self.connection = successor
        successor.context.replaced(predecessor, successor)
        if predecessor is not None:
            predecessor.detached()
        if self.writing_paused:
            successor.pause_writing()
        if self.reading_paused:
            self.resume_reading()
        successor.take_over(rest)

    def received(self, data: bytes) -> None:
        """Hands bytes of the peer up: a turn."""
        connection = self.connection
        if connection is None:
            return
        self.begin_turn()
        connection.data_received(data)
        if self.turn != DEFERRED:
            self.end_turn()

    def write(self, data: bytes) -> None:
        """Writes bytes; they leave when the turn ends."""
        self.out.append(data)
        self.gathered(len(data))

    def write_part(self, data: bytes, start: int, stop: int) -> None:
        """Writes `data[start:stop]`, as `write` does."""
        self.write(part_of(data, start, stop))

    def gathered(self, size: int) -> None:
        """Has what was written leave when the turn ends, or at once where much waits. `size`: bytes that were added."""
        self.out_size += size
        if self.out_size >= self.gather:
            self.flush()
        elif not self.turn and not self.end_turn_scheduled:
            self.end_turn_soon()

    def pause_output(self) -> None:
        """Tells the connection that too much output waits, or that none leaves any more."""
        self.writing_paused = True
        if self.connection is not None:
            self.connection.pause_writing()

    def resume_output(self) -> None:
        """Tells the connection that output leaves again."""
        self.writing_paused = False
        if self.connection is not None:
            self.connection.resume_writing()

    def begin_turn(self) -> bool:
        """Begins a turn. Returns True where this call began it; the same caller then ends it."""
        if self.turn:
            return False
        self.turn = IN_TURN
        self.turn_at = self.runtime.now()
        if not self.end_turn_scheduled:  # else an application has written since the last one
            self.flushed_at = self.turn_at
        return True

    def turn_is_over(self) -> bool:
        """Returns True where the applications' steps in this turn took longer than TURN_SECONDS."""
        return self.runtime.step_ended_at - self.turn_at > TURN_SECONDS

    def turn_soon(self) -> None:
        """Schedules another turn, after those of others; it calls `turn_ended` of the connection."""
        self.runtime.turn_soon(self)

    def next_turn(self) -> None:
        """Goes on in that turn."""
        if self.begin_turn():  # else a loop runs inside of a step of its turn, whose end goes on
            self.end_turn()

    def after_write(self, began: bool, last: bool) -> None:
        """An application has written. `began`: `begin_turn` began a turn for that; `last`: it has no more to write."""
        if began:
            self.turn = NO_TURN
        if not self.end_turn_wanted and not self.out:
            return
        slow = False
        quick = self.runtime.quick_steps >= QUICK_STEPS
        if quick and began and self.is_shared():
            slow = not self.runtime.may_gather()
            if slow:
                self.flush_early()
        elif last and (began or not quick):
            self.flush_early()
            self.runtime.written_at = self.flushed_at
        else:
            waited = self.runtime.now() - self.flushed_at
            if waited > GATHER_SECONDS:
                slow = True
                if began and waited > TURN_SECONDS:  # an answer has waited for a step that was not quick
                    self.runtime.quick_steps = 0
                self.flush_early()
        # A slow step has its turn ended, too, so that what it writes next leaves at once.
        if began and (slow or self.end_turn_wanted or self.out):
            self.end_turn_soon()

    def is_shared(self) -> bool:
        """True where other exchanges may end in this round of the loop, whose output leaves with that of one."""
        return self.connection is not None and self.connection.is_multiplexed()

    def flush_early(self) -> None:
        """Hands what was gathered to the kernel before the turn ends."""
        self.flushed_at = self.runtime.now()
        try:
            if self.connection is not None:
                self.connection.flush_output()
            if self.out:
                self.flush()
        except Exception as error:
            self.internal_error(error)

    def begin_in_batch(self, exchange: Exchange) -> bool:
        """Begins an exchange together with those of other connections in this turn, where the transport does that.
        Returns False where the caller has to begin it."""
        return False

    def end_turn_soon(self) -> None:
        """Schedules the end of the turn for when the current step has ended."""
        if self.turn:
            self.end_turn_wanted = True
        elif not self.end_turn_scheduled:
            self.end_turn_scheduled = True
            self.runtime.end_turn_soon(self)

    def end_turn(self) -> None:
        """Ends the turn: the connection goes on with what was waiting, then the output leaves."""
        self.end_turn_scheduled = self.end_turn_wanted = False
        if not self.turn:
            self.begin_turn()
        connection = self.connection
        try:
            if connection is not None:
                connection.turn_ended()
            self.turn = NO_TURN
            if self.out:
                self.flush()
        except Exception as error:
            self.internal_error(error)

    def internal_error(self, error: Exception) -> None:
        """Logs a fault of the server itself, and ends this connection alone."""
        self.turn = NO_TURN
        self.out.clear()
        self.out_size = 0
        if self.connection is not None:
            self.connection.deadline = 0.0
            self.connection.context.records.log_fault(error)
        self.abort()

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Runs `callback` once the current step has ended; a fault in it ends this connection."""

        def run() -> None:
            try:
                callback()
            except Exception as error:
                self.internal_error(error)

        self.runtime.call_soon(run)

    def flush(self) -> None:
        """Hands what was gathered to the kernel."""
        out = self.out
        if not out:
            return
        only = out[0]
        data = only if len(out) == 1 and isinstance(only, bytes) else b"".join(out)
        out.clear()
        self.out_size = 0
        self.send_bytes(data)

    def send_bytes(self, data: bytes) -> None:
        """Sends now what can be sent now and keeps the rest; asks the connection to pause past the high-water mark."""
        raise NotImplementedError

    def send_file(self, fd: int, offset: int, count: int) -> bool:
        """Has the kernel send a range of a file after what was written. False where it cannot. `fd` is duplicated."""
        return False

    def unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        raise NotImplementedError

    def close(self) -> None:
        """Sends what is left, then closes."""
        raise NotImplementedError

    def abort(self) -> None:
        """Closes at once; what is unsent is lost."""
        raise NotImplementedError

    def set_deadline(self, when: float) -> None:
        """Has the deadline of the connection checked at `when` (seconds of `Runtime.now`), or earlier."""
        connection = self.connection
        if connection is not None and when < connection.context.next_sweep:
            connection.context.arm(when)

    def call_ended(self, exchange: Exchange) -> None:
        """The application's call for a WebSocket on this transport has ended."""

    def write_eof(self) -> None:
        """Sends what is left, then half-closes, where the transport can."""
        raise NotImplementedError

    def pause_reading(self) -> None:
        """Stops the calls of `data_received`."""
        raise NotImplementedError

    def resume_reading(self) -> None:
        """Goes on with the calls of `data_received`."""
        raise NotImplementedError

    def get_extra_info(self, name: str) -> object:
        """`peername`, `sockname`, `ssl_object`, `alpn`, or None where it is not known."""
        return None


class Connection:
    """The protocol state of one transport."""

    __slots__ = ("answered", "context", "deadline", "transport")

    def __init__(self, transport: Transport, context: Context) -> None:
        self.transport = transport
        self.context = context
        self.deadline = 0.0  # seconds of Runtime.now; 0 when nothing is waited for
        self.answered = 0  # bytes of body in the last response of the server's own

    # -- from the transport

    def data_received(self, data: bytes) -> None:
        """Takes bytes of the peer. When the protocol switches, another connection takes this one's place on the
        transport, and the bytes that are left."""
        raise NotImplementedError

    def take_over(self, rest: bytes) -> None:
        """Begins on its transport. `rest`: bytes that were received before and are not used."""
        if self.context.terminating:
            self.shutdown()
        if rest:
            self.data_received(rest)

    def detached(self) -> None:
        """Ends this connection on its transport, which another has taken over; no call of the transport follows."""
        self.deadline = 0.0

    def eof_received(self) -> None:
        """The peer has closed its sending half."""
        raise NotImplementedError

    def connection_lost(self) -> None:
        """The transport is closed."""
        raise NotImplementedError

    def pause_writing(self) -> None:
        """The output passed the high-water mark."""
        raise NotImplementedError

    def resume_writing(self) -> None:
        """The output fell below the low-water mark."""
        raise NotImplementedError

    def turn_ended(self) -> None:
        """A turn is about to end: goes on with what waited for that."""

    def flush_output(self) -> None:
        """Writes to the transport what this connection has kept."""

    # -- from the runtime

    def is_multiplexed(self) -> bool:
        """True where many exchanges share the transport. The call of one can be cancelled while the others go on."""
        return False

    def expired(self, now: float) -> None:
        """`deadline` has passed."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """The server stops: takes no further request, and ends what is idle."""
        raise NotImplementedError

    def notify_shutdown(self) -> None:
        """Tells the applications that stream a response that the server stops."""

    def abort(self) -> None:
        """Ends the connection now: the server waits no longer."""
        raise NotImplementedError

    # -- from an exchange

    def start(self, exchange: Exchange, status: int, headers: Iterable[tuple[bytes, bytes]], trailers: bool) -> int:
        """Checks and keeps the head of the final response. Returns the body's length as the head announces it, or -1.
        Raises TypeError or ValueError for a bad head."""
        raise NotImplementedError

    def body(self, exchange: Exchange, data: bytes, end: bool) -> bool:
        """Sends a piece of the body, the head before the first. Returns False when the sender should wait."""
        raise NotImplementedError

    def end_after(self, exchange: Exchange) -> None:
        """Ends the connection after this exchange, where the version has no other way to end a message early."""
        raise NotImplementedError

    def writing_blocked(self, exchange: Exchange) -> bool:
        """True while the peer does not read."""
        raise NotImplementedError

    def announce(self, exchange: Exchange, length: int) -> None:
        """Sets the length of the body (bytes), known only after `start`, before the first piece."""
        raise NotImplementedError

    def send_file(self, exchange: Exchange, fd: int, offset: int, count: int, end: bool) -> bool:
        """Has the kernel send a range of a file as a piece of the body. False where it cannot: send it as bytes."""
        return False

    def trailers(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], end: bool) -> None:
        """Sends trailer fields, and ends the response with the last of them."""
        raise NotImplementedError

    def hint(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Sends a 103 (Early Hints)."""
        raise NotImplementedError

    def push(self, exchange: Exchange, authority: bytes, path: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Promises a response that the client has not asked for, where it takes such ones. Raises TypeError or
        ValueError for a malformed request."""
        raise NotImplementedError

    def reset(self, exchange: Exchange) -> int:
        """Ends the exchange early: answers 500 if nothing was sent yet, else makes sure that the peer cannot take the
        response for complete. Returns the status that the peer saw."""
        raise NotImplementedError

    def accept(self, exchange: Exchange, headers: Iterable[tuple[bytes, bytes]], extension: object) -> Connection:
        """Answers a WebSocket handshake with success. Returns the connection that carries the WebSocket on, with the
        `extension` that was agreed on, or None. Raises TypeError or ValueError for bad fields."""
        raise NotImplementedError

    def body_wanted(self, exchange: Exchange) -> None:
        """The application waits for the body: sends 100 (Continue) where the client asked for it, and reads on."""
        raise NotImplementedError

    def body_consumed(self, exchange: Exchange, size: int) -> None:
        """The application took `size` bytes of the body: the peer may send as many more (HTTP/2, HTTP/3)."""

    def finished(self, exchange: Exchange) -> None:
        """The application's call has ended."""


class Exchange:
    """One exchange, as its connection sees it."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def begin(self) -> object:
        """Starts the application. Returns its call, as `Runtime.spawn` does."""
        raise NotImplementedError

    def body_received(self, data: bytes, complete: bool) -> bool:
        """Takes a piece of the request body. Returns False when the sender should wait."""
        raise NotImplementedError

    def trailers_received(self, fields: list[tuple[bytes, bytes]]) -> None:
        """The request has trailer fields. Comes ahead of the last piece of its body."""
        raise NotImplementedError

    def disconnected(self, status: int) -> None:
        """The exchange is over for the peer: it is gone, or was answered `status` (0: no answer) for breaking the
        protocol in the body. No further call follows."""
        raise NotImplementedError

    def peer_closed(self) -> None:
        """The peer closed its sending half after a whole request; it may still read."""
        raise NotImplementedError

    def server_stopping(self) -> None:
        """The server stops: an application that streams its response should end it."""

    def may_be_slow(self) -> bool:
        """True where the request's body may come as slowly as its sender likes. Asked when it is late."""
        return False

    def writable(self) -> None:
        """The peer reads again."""
        raise NotImplementedError

    # A WebSocket's, after its handshake.

    def message_received(self, message: str | bytes) -> bool:
        """Takes a message. Returns False when the sender should wait."""
        raise NotImplementedError

    def pending(self) -> bool:
        """True while there are messages that the application has not taken."""
        raise NotImplementedError

    def resume(self) -> None:
        """Messages were received, and the turn is about to end: lets the application take them."""
        raise NotImplementedError

    def closed(self, code: int, reason: str) -> None:
        """The WebSocket is over, for the peer's or the server's reason. No further call follows."""
        raise NotImplementedError


class Context:
    """The state that all connections of a worker share: the runtime, limits, the fields that the server adds to
    responses, the records that it keeps, and the way to the floors above."""

    __slots__ = (
        "encoder",
        "field_memory",
        "fields",
        "h2c_upgrade",
        "http2",
        "keep_case",
        "limits",
        "next_sweep",
        "records",
        "response_fields",
        "runtime",
        "server_names",
        "terminating",
        "websocket",
    )

    def __init__(self, runtime: Runtime, limits: Limits, response_fields: ResponseFields, records: Records) -> None:
        self.runtime = runtime
        self.limits = limits
        self.response_fields = response_fields
        self.records = records
        self.terminating = False
        self.encoder = FieldEncoder()
        self.field_memory = FieldMemory()
        self.fields = FieldLines()
        self.server_names: frozenset[bytes] = frozenset()  # lower-case hosts that are served; empty: any
        self.next_sweep = float("inf")  # when the deadlines are looked at next
        self.keep_case = False
        self.websocket: WebSocketSettings | None = None  # None: no WebSockets
        self.http2 = True  # served with prior knowledge
        self.h2c_upgrade = False  # ... and by Upgrade (RFC 7540 section 3.2), to peers that are no proxies

    def serves(self, host: bytes) -> bool:
        """True where `host` (a Host field's value) is one of `server_names`, with or without its port."""
        name = host.lower()
        return name in self.server_names or name.rpartition(b":")[0] in self.server_names

    def open_http(self, connection: Connection, head: RequestHead) -> Exchange:
        """Opens the exchange of a request whose head is complete, and starts the application on it."""
        raise NotImplementedError

    def refused(self, connection: Connection, head: RequestHead | None, status: int, reason: str) -> None:
        """Records a request that was refused without an application; without `head`, the connection itself was."""
        raise NotImplementedError

    def open_websocket(self, connection: Connection, head: RequestHead, handshake: Handshake) -> Exchange:
        """Opens the exchange of a WebSocket whose `handshake` is in order."""
        raise NotImplementedError

    def replaced(self, connection: Connection | None, successor: Connection) -> None:
        """A transport has got `successor`, in the place of `connection` or as its first."""
        raise NotImplementedError

    def arm(self, deadline: float) -> None:
        """Has the deadlines checked at `deadline` (seconds of `Runtime.now`)."""
        raise NotImplementedError
