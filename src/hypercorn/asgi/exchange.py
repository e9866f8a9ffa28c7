"""The base of HTTP and WebSocket exchanges: `receive` and `send`, the application's call, the access record.

To an application both are coroutine functions. A call does nothing until it is awaited; what is never awaited never
happens. Neither is written as `async def`, because compiled coroutines are slower than these awaitables, and because
an awaitable that is ready ends without suspending.
"""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Iterator, Mapping
from inspect import CORO_CLOSED, CORO_CREATED, CORO_SUSPENDED
from typing import TYPE_CHECKING, Any

from hypercorn._cpython.marks import application_methods
from hypercorn.asgi.failures import APP_ERRORS, is_cancellation, log_failure
from hypercorn.asgi.frames import FRAMES
from hypercorn.asgi.messages import COUNTED, LOGGED, PENDING, Message, Scope
from hypercorn.asgi.scope import connection_scope
from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.ports import Connection, Exchange
from hypercorn.protocol.runtime import Runtime, Waiter

if TYPE_CHECKING:
    from collections.abc import Awaitable as AbcAwaitable
    from collections.abc import Iterable
    from types import CodeType, FrameType

    from hypercorn.asgi.context import ASGIContext

    Thrown = type[BaseException] | BaseException

DONE = None  # what `perform` returns where nothing has to be waited for


# The steps of what an application awaits.
CREATED, BEGUN, ENDED = range(3)


class CoroutineAttributes:
    """The attributes of a coroutine that debuggers, monitoring threads and task factories read (see `inspect`)."""

    __slots__ = ("state",)

    __name__ = ""

    state: int

    def __getattr__(self, name: str) -> str:
        if name == "__qualname__":  # no class can give its objects an attribute of this name
            return f"ASGIExchange.{self.__name__}"
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def cr_running(self) -> bool:
        """False: a step of it is over before any other code looks."""
        return False

    @property
    def cr_suspended(self) -> bool:
        """True while it waits."""
        return self.cr_await is not None

    @property
    def cr_state(self) -> str:
        """What `inspect.getcoroutinestate` returns, since Python 3.15."""
        if self.cr_await is not None:
            return CORO_SUSPENDED
        return CORO_CREATED if self.state == CREATED else CORO_CLOSED

    @property
    def cr_await(self) -> object:
        """What it waits for, or None."""
        raise NotImplementedError

    @property
    def cr_frame(self) -> FrameType | None:
        """A frame that stands for its own; None once it has ended."""
        if self.cr_await is not None:
            return FRAMES[self.__name__][BEGUN]
        return FRAMES[self.__name__][CREATED] if self.state == CREATED else None

    @property
    def cr_code(self) -> CodeType:
        """The code of that frame."""
        return FRAMES[self.__name__][CREATED].f_code

    @property
    def cr_origin(self) -> None:
        """None: where it was made is not kept."""
        return None


class Awaitable(CoroutineAttributes):
    """An awaitable that ends when it is `ready`, and waits for its exchange until then."""

    __slots__ = ("exchange", "inner", "waiter")

    def __init__(self, exchange: ASGIExchange) -> None:
        self.exchange = exchange
        self.waiter: Waiter | None = None
        self.inner: Any = None

    def ready(self) -> bool:
        """True when it can end; `result` then gives the value."""
        raise NotImplementedError

    def result(self) -> object:
        """The result of the await. Raises the error that the wait ended with."""
        return None

    def __await__(self) -> Iterator[object]:
        return self

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        while True:
            if self.inner is None:
                if self.ready():
                    break
                self.waiter = self.exchange.new_waiter()
                self.inner = self.waiter.__await__()
            try:
                return next(self.inner)
            except StopIteration:
                self.inner = None
        value = self.result()
        if value is None:
            raise StopIteration
        raise StopIteration(value)

    def send(self, value: object) -> object:
        """One step, as a coroutine's. `value` is what the loop has for what was waited for."""
        if value is not None and self.inner is not None:
            try:
                return self.inner.send(value)
            except StopIteration:
                self.inner = None
        return self.__next__()

    def throw(self, kind: Thrown, value: BaseException | None = None, traceback: object = None) -> object:
        """Raises an exception in it, as in a coroutine."""
        error = value if value is not None else kind
        if isinstance(error, type):
            error = error()
        inner = self.inner
        if inner is None:
            self.close()
            raise error
        try:
            return inner.throw(error)
        except StopIteration:
            self.inner = None
            return self.send(None)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the wait."""
        waiter = self.waiter
        self.waiter = self.inner = None
        if waiter is not None and self.exchange.waiters and waiter in self.exchange.waiters:
            self.exchange.waiters.remove(waiter)


class Drain(Awaitable):
    """Past the high-water mark: ends when the peer has read, raises when it is gone."""

    __slots__ = ()

    def ready(self) -> bool:
        return self.exchange.gone or not self.exchange.must_wait()

    def result(self) -> object:
        if self.exchange.gone:
            raise ClientDisconnected("the client is gone")
        return None


class Receive(Awaitable):
    """`receive()`: ends with the next message."""

    __slots__ = ("__weakref__", "message")

    __name__ = "receive"

    def __init__(self, exchange: ASGIExchange) -> None:
        self.exchange = exchange
        self.waiter = None
        self.inner = None
        self.message: Message | None = None
        self.state = CREATED

    @property
    def cr_await(self) -> object:
        return self.inner

    def ready(self) -> bool:
        if self.state == ENDED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.state = BEGUN
        exchange = self.exchange
        if exchange.should_yield():
            exchange.runtime.call_soon(exchange.wake)
            return False
        self.message = exchange.take()
        if self.message is None:
            exchange.connection.body_wanted(exchange)
            # What was waited for may have come along while asking.
            self.message = exchange.take()
        return self.message is not None

    def result(self) -> object:
        self.state = ENDED
        message = self.message
        self.message = None
        return message

    def close(self) -> None:
        Awaitable.close(self)  # super() fails in a compiled method that overrides a C one
        self.state = ENDED

    def __del__(self) -> None:
        if self.state == CREATED:
            warnings.warn("coroutine 'receive' was never awaited", RuntimeWarning, stacklevel=2)


class Send(CoroutineAttributes):
    """`send(message)`: acts in its first step, then waits for what that came to."""

    __slots__ = ("__weakref__", "exchange", "message", "rest")

    __name__ = "send"

    def __init__(self, exchange: ASGIExchange, message: Message) -> None:
        self.exchange = exchange
        self.message: Any = message  # None once it was taken
        self.rest: Any = None  # what is waited for
        self.state = CREATED

    @property
    def cr_await(self) -> object:
        rest = self.rest
        return rest if rest is not None and rest.inner is not None else None

    def begin(self) -> object:
        """Acts. Returns what is to be waited for, or None."""
        if self.state != CREATED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.state = ENDED
        exchange = self.exchange
        message = self.message
        self.message = None
        transport = exchange.connection.transport
        began = transport.begin_turn()
        try:
            rest = exchange.perform(message)
        finally:
            transport.after_write(began, exchange.over)
        return rest

    def __await__(self) -> Iterator[object]:
        return self

    def __iter__(self) -> Iterator[object]:
        return self

    def __next__(self) -> object:
        if self.rest is None:
            self.rest = self.begin()
            if self.rest is None:
                raise StopIteration
        return next(self.rest)

    def send(self, value: object) -> object:
        """One step, as a coroutine's."""
        if value is None or self.rest is None:
            return self.__next__()
        return self.rest.send(value)

    def throw(self, kind: Thrown, value: BaseException | None = None, traceback: object = None) -> object:
        """Raises an exception in it, as in a coroutine."""
        self.state = ENDED
        if self.rest is not None:
            return self.rest.throw(kind, value, traceback)
        error = value if value is not None else kind
        raise error() if isinstance(error, type) else error

    def close(self) -> None:
        """Ends it, begun or not."""
        self.state = ENDED
        if self.rest is not None:
            self.rest.close()

    def __del__(self) -> None:
        if self.state == CREATED:
            warnings.warn("coroutine 'send' was never awaited", RuntimeWarning, stacklevel=2)


for _class in (Receive, Send):
    Coroutine.register(_class)


def receive(self: ASGIExchange) -> Receive:
    """The ASGI `receive`: returns an awaitable of the next message."""
    return Receive(self)


def send(self: ASGIExchange, message: Message) -> Send:
    """The ASGI `send`. When awaited, it raises `ClientDisconnected` (an OSError) when the client is gone,
    `UnexpectedMessageError` for a message out of place, TypeError or ValueError for a malformed one."""
    return Send(self, message)


_receive, _send = application_methods(receive, send)


class ASGIExchange(Exchange):
    """An exchange with an application's call: what `Receive` and `Send` work on.

    gone: nothing can reach the peer any more
    over: the exchange was completed
    cancelled_by_server: it has cancelled the call
    waiters: of the application's tasks
    method, raw_path: of the request, whatever the application makes of its scope
    status, headers, sent: of the response, or of the answer to the handshake, for the record
    expected: bytes of body that the response announced, or -1
    calling: the application's call goes on
    recorded: how far its record is: PENDING, LOGGED while only the call's end is not counted yet, or COUNTED
    """

    __slots__ = (
        "calling",
        "cancelled_by_server",
        "context",
        "expected",
        "gone",
        "headers",
        "method",
        "over",
        "raw_path",
        "received",
        "recorded",
        "runtime",
        "scope",
        "sent",
        "started_at",
        "status",
        "waiters",
    )

    calling: bool
    context: ASGIContext
    expected: int
    headers: Iterable[tuple[bytes, bytes]]
    method: str
    raw_path: bytes
    received: int
    recorded: int
    scope: Scope
    sent: int
    started_at: float
    status: int

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.connection = connection
        self.runtime = runtime
        self.gone = False
        self.over = False
        self.cancelled_by_server = False
        self.waiters: list[Waiter] | None = None

    receive = _receive
    send = _send

    def take(self) -> Message | None:
        """The next message for the application, or None when it has to wait."""
        raise NotImplementedError

    def perform(self, message: Message) -> object:
        """Does what a message of the application asks for. Returns None, or the awaitable to wait for."""
        raise NotImplementedError

    def must_wait(self) -> bool:
        """True while the peer does not read fast enough to send more."""
        return self.connection.writing_blocked(self)

    def call_ended(self, error: BaseException | None) -> None:
        """The application returned, or raised `error`."""
        raise NotImplementedError

    def end_call(self, error: BaseException | None) -> None:
        """The last step of the call: the exchange must be over, and what was written leaves."""
        transport = self.connection.transport
        began = transport.begin_turn()
        try:
            self.call_ended(error)
        except Exception as fault:
            transport.internal_error(fault)
        self.runtime.call_over(self, error)
        transport.after_write(began, True)

    def should_yield(self) -> bool:
        """True where the application takes one message after the other, and the loop should have its turn."""
        return False

    def new_waiter(self) -> Waiter:
        """A waiter that ends when the exchange's state has changed. What was written leaves before the wait."""
        waiter = self.runtime.waiter()
        if self.waiters is None:
            self.waiters = []
        self.waiters.append(waiter)
        transport = self.connection.transport
        if not transport.turn:
            transport.flush_early()  # which may end the wait
        return waiter

    def wake(self) -> None:
        """Lets every waiting task look again."""
        waiters = self.waiters
        if waiters:
            self.waiters = None
            for waiter in waiters:
                self.runtime.wake(waiter)

    def writable(self) -> None:
        self.wake()

    def resume(self) -> None:
        self.wake()

    def begin(self) -> object:
        runtime = self.runtime
        transport = self.connection.transport
        began = transport.begin_turn()
        since = runtime.now()
        call = runtime.spawn(self)
        runtime.step_ended(since)
        if began:
            transport.end_turn()
        return call

    def call(self) -> AbcAwaitable[object]:
        """Calls the application: what is to be awaited."""
        self.calling = True
        try:
            return self.context.app(self.scope, self.receive, self.send)
        except StopIteration as error:  # it would pass for the end of a coroutine (PEP 479)
            raise RuntimeError("the application raised StopIteration") from error

    def record(self) -> None:
        """Writes the one access record of this exchange. A call that its peer has left counts until it ends."""
        if self.recorded == PENDING:
            self.recorded = LOGGED
            duration = self.runtime.now() - self.started_at
            if not (self.gone and self.calling):
                self.count(duration)
            if self.context.records.access is not None:
                # Looked at here, because a logger may make the text later, and a missing path is no exception to it.
                scope = self.scope
                if (
                    type(scope.get("path")) is not str
                    or type(scope.get("raw_path")) is not bytes
                    or type(scope.get("query_string")) is not bytes
                    or (type(scope.get("client")) is not tuple and scope.get("client", scope) is not None)
                    or not isinstance(scope.get("headers"), (list, tuple))
                    or (type(scope.get("method")) is not str and scope.get("type") != "websocket")
                ):
                    self.scope = self.mended_scope()
                try:
                    self.context.records.write(self, duration)
                except Exception:  # the application has removed or changed what else a record is made of
                    self.scope = self.mended_scope()
                    self.context.records.write(self, duration)

    def mended_scope(self) -> Scope:
        """The scope, with what its application removed, or changed into something of another type."""
        scope = connection_scope(self.context, self.connection.transport)
        scope["method"] = self.method
        scope["raw_path"] = self.raw_path
        scope["path"] = self.raw_path.decode("latin-1")
        kept = {key: value for key, value in self.scope.items() if type(value) is type(scope.get(key))}
        if not all(type(pair) is tuple and len(pair) == 2 for pair in kept.get("headers") or ()):
            del kept["headers"]
        return {**scope, **kept}

    def name(self) -> str:
        """The request in an error record: method and path, with anything unprintable escaped."""
        return f"{self.method} {self.raw_path.decode('ascii', 'backslashreplace')}"

    def log_failure(self, error: BaseException, departed: bool) -> None:
        """One record of what the application raised; none where the server has cancelled the call, or the interpreter
        or a person ends it. `departed`: the client is gone, or has closed its side."""
        if isinstance(error, (GeneratorExit, KeyboardInterrupt)):
            return
        if self.cancelled_by_server and not isinstance(error, APP_ERRORS) and is_cancellation(error):
            return
        log_failure(self.context, self.name(), error, departed)

    def count(self, duration: float) -> None:
        """Counts this exchange as one that has ended."""
        self.recorded = COUNTED
        counters = self.context.records.counters
        if counters is not None:
            counters.ended(self.status, duration, self.sent, self.received)

    def leave_call(self) -> None:
        """The application's call is over."""
        self.calling = False
        if self.recorded == LOGGED:
            self.count(self.runtime.now() - self.started_at)


def as_dict(message: object) -> Message:
    """A message given as another kind of mapping. Raises TypeError for what is none."""
    if isinstance(message, Mapping):
        return dict(message)
    raise TypeError(f"an ASGI message must be a dict, not {type(message).__name__}")


def to_bytes(data: object) -> bytes:
    """A body given as another kind of buffer. Raises TypeError for what is none."""
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"a response body must be bytes, not {type(data).__name__}")
