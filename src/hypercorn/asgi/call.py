"""An application's side of a stream: `receive` and `send`, and the awaitables that they return.

To an application both are coroutine functions. A call does nothing until it is awaited; what is never awaited never
happens. Neither is written as `async def`, because compiled coroutines are slower than these awaitables, and because
an awaitable that is ready ends without suspending.
"""

from __future__ import annotations

import warnings
from collections.abc import Coroutine, Iterator
from typing import Any

from hypercorn.asgi.calling import application_functions
from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.ports import Connection, Stream
from hypercorn.protocol.runtime import Runtime

# What an application may raise that is an error of its own.
APP_ERRORS = (Exception, SystemExit)
DONE = None  # what `perform` returns where nothing has to be waited for


class Awaitable:
    """An awaitable that ends when it is `ready`, and waits for its stream until then."""

    __slots__ = ("inner", "stream", "waiter")

    def __init__(self, stream: ASGIStream) -> None:
        self.stream = stream
        self.waiter: Any = None
        self.inner: Any = None

    def ready(self) -> bool:
        """True when it can end; `result` then gives the value."""
        raise NotImplementedError

    def result(self) -> Any:
        """The result of the await. Raises the error that the wait ended with."""
        return None

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        while True:
            if self.inner is None:
                if self.ready():
                    break
                self.waiter = self.stream.park()
                self.inner = self.waiter.__await__()
            try:
                return next(self.inner)
            except StopIteration:
                self.inner = None
        value = self.result()
        if value is None:
            raise StopIteration
        raise StopIteration(value)

    def send(self, value: Any) -> Any:
        """One step, as a coroutine's. `value` is what the loop has for what was waited for."""
        if value is not None and self.inner is not None:
            try:
                return self.inner.send(value)
            except StopIteration:
                self.inner = None
        return self.__next__()

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
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
        if waiter is not None and self.stream.parked and waiter in self.stream.parked:
            self.stream.parked.remove(waiter)


class Drain(Awaitable):
    """Past the high-water mark: ends when the peer has read, raises when it is gone."""

    __slots__ = ()

    def ready(self) -> bool:
        return self.stream.gone or not self.stream.must_wait()

    def result(self) -> Any:
        if self.stream.gone:
            raise ClientDisconnected("the client is gone")
        return None


# The steps of what an application awaits.
CREATED, BEGUN, ENDED = range(3)


class Receive(Awaitable):
    """`receive()`: ends with the next message."""

    __slots__ = ("__weakref__", "message", "state")

    __name__ = "receive"

    def __init__(self, stream: ASGIStream) -> None:
        self.stream = stream
        self.waiter = None
        self.inner = None
        self.message: dict[str, Any] | None = None
        self.state = CREATED

    def ready(self) -> bool:
        if self.state == ENDED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.state = BEGUN
        stream = self.stream
        if stream.must_give_way():
            stream.runtime.call_soon(stream.wake)
            return False
        self.message = stream.take()
        if self.message is None:
            stream.connection.wanted(stream)
            # What was waited for may have come along while asking.
            self.message = stream.take()
        return self.message is not None

    def result(self) -> Any:
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


class Send:
    """`send(message)`: acts in its first step, then waits for what that came to."""

    __slots__ = ("__weakref__", "message", "rest", "state", "stream")

    __name__ = "send"

    def __init__(self, stream: ASGIStream, message: Any) -> None:
        self.stream = stream
        self.message = message
        self.rest: Any = None  # what is waited for
        self.state = CREATED

    def begin(self) -> Any:
        """Acts. Returns what is to be waited for, or None."""
        if self.state != CREATED:
            raise RuntimeError("cannot reuse already awaited coroutine")
        self.state = ENDED
        stream = self.stream
        message = self.message
        self.message = None
        transport = stream.connection.transport
        began = transport.cork()
        try:
            rest = stream.perform(message)
        finally:
            transport.wrote(began, stream.over)
        return rest

    def __await__(self) -> Iterator[Any]:
        return self

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.rest is None:
            self.rest = self.begin()
            if self.rest is None:
                raise StopIteration
        return next(self.rest)

    def send(self, value: Any) -> Any:
        """One step, as a coroutine's."""
        if value is None or self.rest is None:
            return self.__next__()
        return self.rest.send(value)

    def throw(self, kind: Any, value: Any = None, traceback: Any = None) -> Any:
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

_receive, _send = application_functions(Receive, Send)


class ASGIStream(Stream):
    """A stream with an application on it: what `Receive` and `Send` work on."""

    __slots__ = ("dismissed", "gone", "over", "parked", "runtime")

    def __init__(self, connection: Connection, runtime: Runtime) -> None:
        self.connection = connection
        self.runtime = runtime
        self.gone = False  # nothing can reach the peer any more
        self.over = False  # the exchange was completed
        self.dismissed = False  # the server has cancelled the call
        self.parked: list[Any] | None = None  # waiters of the application's tasks

    # The ASGI `receive` and `send`.
    receive = _receive
    send = _send

    def take(self) -> dict[str, Any] | None:
        """The next message for the application, or None when it has to wait."""
        raise NotImplementedError

    def perform(self, message: dict[str, Any]) -> Any:
        """Does what a message of the application asks for. Returns None, or the awaitable to wait for."""
        raise NotImplementedError

    def must_wait(self) -> bool:
        """True while the peer does not read fast enough to send more."""
        raise NotImplementedError

    def call(self) -> Any:
        """Calls the application: what is to be awaited."""
        raise NotImplementedError

    def call_ended(self, error: BaseException | None) -> None:
        """The application returned, or raised `error`."""
        raise NotImplementedError

    def end_call(self, error: BaseException | None) -> None:
        """The last step of the call: the exchange must be over, and what was written leaves."""
        transport = self.connection.transport
        began = transport.cork()
        try:
            self.call_ended(error)
        except Exception as fault:
            transport.broken(fault)
        self.runtime.call_over(self, error)
        transport.wrote(began, True)

    def must_give_way(self) -> bool:
        """True where the application takes one message after the other, and the loop should have its turn."""
        return False

    def park(self) -> Any:
        """A waiter that ends when the stream's state has changed. What was written leaves before the wait."""
        waiter = self.runtime.waiter()
        if self.parked is None:
            self.parked = []
        self.parked.append(waiter)
        transport = self.connection.transport
        if not transport.corked:
            transport.leave()  # which may end the wait
        return waiter

    def wake(self) -> None:
        """Lets every waiting task look again."""
        parked = self.parked
        if parked:
            self.parked = None
            for waiter in parked:
                self.runtime.wake(waiter)

    def resume(self) -> None:
        self.wake()
