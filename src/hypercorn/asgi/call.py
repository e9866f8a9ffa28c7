"""An application call as a coroutine that the server steps, and the awaitables that `receive` and `send` return.

The loop's task drives `AppCall`, and `AppCall` drives the application's coroutine: so the server knows when a step
ends (then the output of that step leaves) and when the call ends (then the exchange must be over), without a
coroutine of its own around the application's.

`call.pyx` is this file's compiled twin: it ends a coroutine without making an exception, which only C can.
All are coroutines to `asyncio.create_task` and friends. None is written as `async def`: they must be able to finish
without suspending, and compiled coroutines are slower than plain ones.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterator
from contextvars import Context
from operator import attrgetter
from typing import Any

from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.ports import Connection, Runtime, Stream, Transport

# What an application may raise without ending more than its own call.
APP_ERRORS = (Exception, SystemExit)


class ASGIStream(Stream):
    """A stream with an application on it: what `AppCall`, `Receive` and `Drain` work on."""

    __slots__ = ("gone", "parked", "runtime")

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.connection = connection
        self.runtime = runtime
        self.gone = False  # nothing can reach the peer any more
        self.parked: list[Any] | None = None  # waiters of the application's tasks

    def receive(self) -> Any:
        """The ASGI `receive`."""
        raise NotImplementedError

    def send(self, message: dict[str, Any]) -> Any:
        """The ASGI `send`."""
        raise NotImplementedError

    def take(self) -> dict[str, Any] | None:
        """The next message for the application, or None when it has to wait."""
        raise NotImplementedError

    def must_wait(self) -> bool:
        """True while the peer does not read fast enough to send more."""
        raise NotImplementedError

    def call(self) -> Any:
        """Calls the application: its coroutine."""
        raise NotImplementedError

    def call_ended(self, error: BaseException | None) -> None:
        """The application returned, or raised `error`."""
        raise NotImplementedError

    def park(self) -> Any:
        """A waiter that ends when the stream's state has changed."""
        waiter = self.runtime.parking()
        if self.parked is None:
            self.parked = []
        self.parked.append(waiter)
        return waiter

    def wake(self) -> None:
        """Lets every waiting task look again."""
        parked = self.parked
        if parked:
            self.parked = None
            for waiter in parked:
                self.runtime.wake(waiter)

    def resume(self) -> None:
        """The same, where this is a good moment for the tasks to run: nothing is half done."""
        parked = self.parked
        if parked:
            self.parked = None
            for waiter in parked:
                self.runtime.resume(waiter)


class Awaitable:
    """An awaitable without a coroutine behind it. `step` decides: a value ends it, a waiter suspends it."""

    __slots__ = ("inner", "stream", "waiter")

    def __init__(self, stream: ASGIStream) -> None:
        self.stream = stream
        self.waiter: Any = None
        self.inner: Any = None

    def ready(self) -> bool:
        """True when it can end; `result` then gives the value."""
        raise NotImplementedError

    def result(self) -> Any:
        raise NotImplementedError

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        while True:
            if self.inner is None:
                if self.ready():
                    raise StopIteration(self.result())
                self.waiter = self.stream.park()
                self.inner = self.waiter.__await__()
            try:
                if value is None:
                    return next(self.inner)
                return self.inner.send(value)
            except StopIteration:
                self.inner = None
                value = None

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        error = value if value is not None else kind
        if isinstance(error, type):
            error = error()
        inner = self.inner
        if inner is None:
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
        waiter = self.waiter
        self.waiter = self.inner = None
        if waiter is not None and self.stream.parked and waiter in self.stream.parked:
            self.stream.parked.remove(waiter)


class Receive(Awaitable):
    """`receive()`: ends with the next message."""

    __slots__ = ("message",)

    def ready(self) -> bool:
        self.message = self.stream.take()
        if self.message is not None:
            return True
        self.stream.connection.wanted(self.stream)
        # What was waited for may have come along while asking.
        self.message = self.stream.take()
        return self.message is not None

    def result(self) -> Any:
        return self.message


class Drain(Awaitable):
    """`send()` past the high-water mark: ends when the peer has read, raises when it is gone."""

    __slots__ = ()

    def ready(self) -> bool:
        return self.stream.gone or not self.stream.must_wait()

    def result(self) -> Any:
        if self.stream.gone:
            raise ClientDisconnected("the client is gone")
        return None


class Done:
    """`send()` that has finished; it has no state, so there is one."""

    __slots__ = ()

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        raise StopIteration

    def send(self, value: Any) -> Any:
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        raise kind if value is None else value

    def close(self) -> None:
        return None


DONE = Done()


class AppCall:
    """The application's coroutine, stepped. Every step is a turn of the transport.

    The application is called in the first step, so that nothing of it runs outside of its own task and context.
    """

    __slots__ = ("context", "coroutine", "failure", "held", "holding", "over", "stream", "task")

    def __init__(self, stream: ASGIStream) -> None:
        self.stream = stream
        self.coroutine: Any = None
        self.context: Any = None
        self.held: Any = None  # what the first step waits for, until a task asks
        self.holding = False
        self.over = False
        self.task: Any = None  # set by a runtime that wants to know of the end
        self.failure: BaseException | None = None  # the end, where it is no application error

    def start(self, context: Context) -> bool:
        """A step in `context` without a task to do it. Returns True where the call has ended in it; else a task's first
        step gives what this one waits for (`held`). Raises what is no application error."""
        self.context = context
        try:
            self.held = context.run(self.send, None)
        except StopIteration:
            return True
        self.holding = True
        return False

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        if self.holding:
            held = self.held
            self.holding = False
            self.held = None
            return held
        if self.over:
            raise StopIteration if self.failure is None else self.failure
        transport = self.stream.connection.transport
        began = transport.cork()
        try:
            if self.coroutine is None:
                self.coroutine = self.stream.call()
            result = self.coroutine.send(value)
        except StopIteration:
            self.ended(None, transport if began else None)
            raise
        except BaseException as error:
            self.ended(error, transport if began else None)
            if isinstance(error, APP_ERRORS):
                raise StopIteration from None
            self.failure = error
            raise
        if began:
            transport.end_turn()
        return result

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
        thrown = value if value is not None else kind
        if self.holding:
            # The task was cancelled before it knew what it waits for: so that is cancelled, as the task would have.
            if hasattr(self.held, "cancel") and self.held.cancel():
                return self.send(None)
            self.holding = False
            self.held = None
        if self.over:
            raise thrown
        transport = self.stream.connection.transport
        began = transport.cork()
        try:
            if self.coroutine is None:
                raise thrown
            result = self.coroutine.throw(thrown)
        except StopIteration:
            self.ended(None, transport if began else None)
            raise
        except BaseException as error:
            self.ended(error, transport if began else None)
            if isinstance(error, APP_ERRORS):
                raise StopIteration from None
            raise
        if began:
            transport.end_turn()
        return result

    def close(self) -> None:
        if self.over:
            return
        self.holding = False
        self.held = None
        if self.coroutine is not None:
            self.coroutine.close()
        self.ended(GeneratorExit(), None)

    def ended(self, error: BaseException | None, transport: Transport | None) -> None:
        """The call is over, and with it the turn of `transport` that this step began."""
        self.over = True
        try:
            self.stream.call_ended(error)
        except Exception as fault:
            self.stream.connection.transport.broken(fault)
        if self.task is not None:
            self.stream.runtime.call_over(self, error)
        if transport is not None:
            transport.end_turn()

    # What debuggers and `asyncio.Task.get_stack` look for.

    @property
    def cr_frame(self) -> Any:
        return getattr(self.coroutine, "cr_frame", None)

    @property
    def cr_code(self) -> Any:
        return getattr(self.coroutine, "cr_code", None)

    @property
    def cr_running(self) -> bool:
        return bool(getattr(self.coroutine, "cr_running", False))

    @property
    def cr_await(self) -> Any:
        return getattr(self.coroutine, "cr_await", None)


new_call = AppCall
# The `receive` and `send` that a stream's application gets.
receive_of = attrgetter("receive")
send_of = attrgetter("send")

for _class in (Receive, Drain, Done, AppCall):
    Coroutine.register(_class)
