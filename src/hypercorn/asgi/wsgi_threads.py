"""A WSGI application as an ASGI one: its calls run in threads of their own.

A request crosses to a thread once and comes back once: the loop hands over a call with the body, the thread leaves its
messages in the call's outbox and tells the loop that there is something. What further messages come until the loop
looks are taken along. A thread waits only where it must: for body that has not arrived, and for a client that does
not read.

A body of up to `wsgi_buffer_size` bytes is awaited before a thread is taken, so that slow clients hold none and the
application is not called for half a body. What is longer, and what a client sends only if asked (`Expect`), is read as
the application reads.
"""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from os import cpu_count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from hypercorn.asgi.wsgi_environ import InvalidPathError, build_environ
from hypercorn.asgi.wsgi_response import Message, Responder
from hypercorn.errors import ClientDisconnected

if TYPE_CHECKING:
    from hypercorn.config import Config

HIGH = 131072  # bytes in an outbox at which its thread waits
LOW = 32768  # and goes on
COST = 256  # bytes that a message counts for besides its body
READ_AHEAD = 65536  # bytes that one `read` of a streamed body asks for

RECEIVE: Message = {}  # in an outbox: the thread waits for more body
END: Message = {}  # the thread is done with the call
EXPIRED: Message = {}  # no thread became free in time

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class LoopPort(Protocol):
    """What this asks of an event loop: as `protocol.ports.Runtime` has it, and a way in from other threads."""

    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object]) -> Any: ...
    def parking(self) -> Any: ...
    def resume(self, waiter: Any) -> None: ...

    def call_threadsafe(self, callback: Callable[[], object]) -> Any:
        """Runs `callback` on the loop. Raises RuntimeError when the loop has ended."""


class WSGISettings(NamedTuple):
    """The options of WSGI applications. Sizes are bytes."""

    max_body_size: int
    buffer_size: int = 65536
    threads: int | None = None
    queue_size: int = 1000
    queue_timeout: float | None = None
    multiprocess: bool = True


def wsgi_settings(config: Config, max_body_size: int) -> WSGISettings:
    """The settings as the options say them."""
    return WSGISettings(
        max_body_size,
        config.wsgi_buffer_size,
        config.wsgi_threads,
        config.wsgi_queue_size,
        config.wsgi_queue_timeout,
        config.workers > 1,
    )


class BodyTooLargeError(OSError):
    """The request body is longer than `wsgi_max_body_size`; the client was answered 413."""


class Threads:
    """Threads that run calls, each one at a time. They are started as they are needed, and end with this object.

    All but `work` is for the loop's thread alone.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size or min(32, (cpu_count() or 1) + 4)
        self.queue: SimpleQueue[Call | None] = SimpleQueue()
        self.started = 0
        self.busy = 0  # calls that run or wait for a thread

    def submit(self, call: Call) -> None:
        """Runs a call as soon as a thread is free."""
        self.busy += 1
        if self.started < self.busy and self.started < self.size:
            self.started += 1
            threading.Thread(target=work, args=(self.queue,), name=f"wsgi-{self.started}", daemon=True).start()
        self.queue.put(call)

    def close(self) -> None:
        """Ends the threads as they become free."""
        for _ in range(self.started):
            self.queue.put(None)
        self.started = 0

    def __del__(self) -> None:
        self.close()


def work(queue: SimpleQueue[Call | None]) -> None:
    """The life of a thread."""
    while True:
        call = queue.get()
        if call is None:
            return
        if call.claim():
            call.context.run(call.run_in_thread)
        else:
            call.finish()
        del call  # nothing of a request is kept while this waits for the next


class Call(Responder):
    """One call of the application, between its thread and the loop."""

    __slots__ = (
        "abandoned",
        "body_ended",
        "bridge",
        "context",
        "counted",
        "environ",
        "error",
        "given",
        "gone",
        "inbox",
        "left",
        "outbox",
        "room",
        "sent_on",
        "ticket",
        "waiter",
    )

    def __init__(self, bridge: ThreadedWSGI, scope: Any, environ: dict[str, Any]) -> None:
        super().__init__(scope)
        self.bridge = bridge
        self.environ = environ
        self.context: Context = copy_context()
        self.ticket = [None]  # who takes it decides: the thread that runs the call, or the loop that gives it up
        self.outbox: deque[Message] = deque()
        self.error: BaseException | None = None
        self.waiter: Any = None  # of the loop's task
        self.abandoned = False  # that task has ended
        self.counted = True  # as one that keeps a thread busy
        self.gone = False  # nothing reaches the client any more
        self.given = 0  # bytes put into the outbox
        self.sent_on = 0  # ... and taken from there
        self.room: SimpleQueue[None] | None = None  # where a thread waits that has to wait for the client
        self.inbox: SimpleQueue[Any] = _NO_BODY  # where it waits for body
        self.left = 0  # bytes of streamed body that may still come; less than 0: there were too many
        self.body_ended = False

    def claim(self) -> bool:
        """Takes the call. True for one caller only."""
        try:
            self.ticket.pop()
        except IndexError:
            return False
        return True

    # -- in the thread

    def run_in_thread(self) -> None:
        """The whole call."""
        environ, self.environ = self.environ, {}  # it may lead back to this
        try:
            self.run(self.bridge.app, environ)
        except BaseException as error:
            self.error = error
        self.finish()

    def finish(self) -> None:
        """The thread has done with this."""
        self.outbox.append(END)
        self.bridge.tell(self)

    def emit(self, message: Message, size: int) -> None:
        if self.gone:
            raise ClientDisconnected("the client is gone")
        self.outbox.append(message)
        self.given += size + COST

    def flush(self) -> None:
        self.bridge.tell(self)
        if self.given - self.sent_on > HIGH:
            if self.room is None:
                self.room = SimpleQueue()
            while self.given - self.sent_on > LOW and not self.gone:
                self.room.get()  # there is something whenever the outbox was emptied

    def early_hints(self, headers: Iterable[tuple[str, str]]) -> None:
        """`wsgi.early_hints`: sends the Link fields of `headers` ahead of the response, as 103 (RFC 8297)."""
        links = [value.encode("latin-1") for name, value in headers if name.lower() == "link"]
        if links and not self.started:
            self.emit({"type": "http.response.early_hint", "links": links}, 0)
            self.flush()

    def read(self) -> bytes:
        """The next piece of a streamed body, b"" at its end. Raises OSError when there will be no more."""
        if self.gone:
            raise ClientDisconnected("the client is gone")
        self.outbox.append(RECEIVE)
        self.bridge.tell(self)
        data = self.inbox.get()
        if isinstance(data, BaseException):
            raise data
        return data  # type: ignore[no-any-return]

    # -- on the loop

    async def serve(self, receive: Receive, send: Send) -> None:
        """Does what the thread asks for until it is done. Raises what the application raised."""
        failure: BaseException | None = None
        outbox = self.outbox
        while True:
            while outbox:
                message = outbox.popleft()
                if message is END:
                    self.bridge.threads.busy -= 1
                    self.counted = False
                    return self.raise_error(failure)
                if message is EXPIRED:
                    return await refuse(send, 503)
                if message is RECEIVE:
                    self.inbox.put(failure if failure is not None else await self.next_body(receive, send))
                    continue
                if failure is None:
                    try:
                        await send(message)
                    except Exception as error:
                        failure = error
                        self.gone = True
                self.sent_on += len(message.get("body", b"")) + COST
            if self.room is not None and self.room.empty():
                self.room.put(None)
            self.waiter = self.bridge.port.parking()
            await self.waiter

    def raise_error(self, failure: BaseException | None) -> None:
        """Raises what went wrong: in sending, else in the application."""
        error, self.error = failure or self.error, None
        try:
            if error is not None and not (self.left < 0 and isinstance(error, (BodyTooLargeError, ClientDisconnected))):
                raise error
        finally:
            del error, failure  # a cycle through the traceback otherwise

    async def next_body(self, receive: Receive, send: Send) -> Any:
        """The next piece of the body, or the error that `read` is to raise."""
        data = b""
        while not data and not self.body_ended and self.left >= 0:
            message = await receive()
            if message["type"] == "http.disconnect":
                return ClientDisconnected("the client went away before the end of its request")
            data = message.get("body", b"")
            self.left -= len(data)
            self.body_ended = not message.get("more_body")
        if self.left >= 0:
            return data
        if not self.started and not self.gone:
            self.gone = True  # whatever the application answers now, the client has its answer
            with suppress(OSError):
                await refuse(send, 413)
        return BodyTooLargeError("the request body is longer than wsgi_max_body_size")

    def give_up(self) -> None:
        """The loop's task is over: the thread, if it still runs, must not wait for it."""
        self.gone = True
        if self.room is not None:
            self.room.put(None)
        if self.inbox is not _NO_BODY:
            self.inbox.put(ClientDisconnected("the server has given the request up"))


_NO_BODY: SimpleQueue[Any] = SimpleQueue()


class StreamedBody(io.RawIOBase):
    """What is under `wsgi.input` where the body is read as the application reads it."""

    def __init__(self, first: bytes) -> None:
        self.pending = first
        self.call: Call | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.pending:
            assert self.call is not None
            self.pending = self.call.read()
        size = min(len(buffer), len(self.pending))
        buffer[:size] = self.pending[:size]
        self.pending = self.pending[size:]
        return size

    def readall(self) -> bytes:
        assert self.call is not None
        pieces = [self.pending]
        self.pending = b""
        while True:
            data = self.call.read()
            if not data:
                return b"".join(pieces)
            pieces.append(data)


class ThreadedWSGI:
    """The ASGI application. WebSockets are refused, a lifespan is left alone, other scopes raise."""

    def __init__(self, app: Callable[..., Iterable[bytes]], settings: WSGISettings, port: LoopPort) -> None:
        self.app = app
        self.settings = settings
        self.port = port
        self.threads = Threads(settings.threads)
        self.arrived: deque[Call] = deque()  # calls whose outbox has something
        self.told = False  # the loop knows

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        elif scope["type"] != "lifespan":
            raise Exception(f"Unknown scope type, {scope['type']}")

    async def handle(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            environ = build_environ(scope, None, self.settings.multiprocess)
        except InvalidPathError:
            return await refuse(send, 404)
        length = environ.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > self.settings.max_body_size:
            return await refuse(send, 413)
        call = Call(self, scope, environ)
        if "http.response.early_hint" in (scope.get("extensions") or ()):
            environ["wsgi.early_hints"] = call.early_hints
        if "HTTP_EXPECT" in environ:
            self.stream_body(call, b"")
        else:
            message = await receive()
            if message["type"] != "http.request":
                return None  # nobody waits for an answer
            body = message.get("body", b"")
            if message.get("more_body"):
                pieces = [body]
                if not await self.gather(pieces, receive, call):
                    return None
                body = b"".join(pieces)
            if len(body) > self.settings.max_body_size:
                return await refuse(send, 413)
            if environ["wsgi.input"] is None:
                environ["wsgi.input"] = io.BytesIO(body)
                if body and not length:
                    # It came in chunks; many applications read no further than CONTENT_LENGTH.
                    environ["CONTENT_LENGTH"] = str(len(body))
        await self.run(call, receive, send)
        return None

    async def gather(self, pieces: list[bytes], receive: Receive, call: Call) -> bool:
        """Adds to `pieces` as much of the body as is awaited before the call. False where the client went away."""
        size = len(pieces[0])
        while size <= self.settings.buffer_size:
            message = await receive()
            if message["type"] != "http.request":
                return False
            data = message.get("body", b"")
            pieces.append(data)
            size += len(data)
            if not message.get("more_body"):
                return True
        self.stream_body(call, b"".join(pieces))
        return True

    def stream_body(self, call: Call, first: bytes) -> None:
        """The rest of the body is read as the application reads."""
        raw = StreamedBody(first)
        raw.call = call
        call.inbox = SimpleQueue()
        call.left = self.settings.max_body_size - len(first)
        call.environ["wsgi.input"] = io.BufferedReader(raw, READ_AHEAD)

    async def run(self, call: Call, receive: Receive, send: Send) -> None:
        """The call, in a thread. Answers 503 where too many wait for one, or this did too long."""
        threads = self.threads
        timer = None
        if threads.busy >= threads.size:
            if threads.busy - threads.size >= self.settings.queue_size:
                return await refuse(send, 503)
            if self.settings.queue_timeout:
                when = self.port.now() + self.settings.queue_timeout
                timer = self.port.call_at(when, lambda: self.expire(call))
        threads.submit(call)
        try:
            await call.serve(receive, send)
        finally:
            call.give_up()
            self.settle(call)
            if timer is not None:
                timer.cancel()
        return None

    def expire(self, call: Call) -> None:
        """A call has waited too long for a thread. It counts for the queue until one comes across it."""
        if call.claim():
            call.outbox.append(EXPIRED)
            self.arrived.append(call)
            self.deliver()

    def tell(self, call: Call) -> None:
        """In a thread: a call's outbox has something."""
        self.arrived.append(call)
        if not self.told:
            self.told = True
            with suppress(RuntimeError):  # the loop has ended, and with it the server
                self.port.call_threadsafe(self.deliver)

    def deliver(self) -> None:
        """On the loop: lets the calls' tasks look into their outboxes."""
        self.told = False  # first, so that what comes from now on is told again
        arrived = self.arrived
        for _ in range(len(arrived)):
            call = arrived.popleft()
            waiter = call.waiter
            if waiter is not None:
                call.waiter = None
                self.port.resume(waiter)
            elif call.abandoned:
                self.settle(call)

    def settle(self, call: Call) -> None:
        """After the end of a call's task: once the thread is done too, it is free for another call."""
        call.abandoned = True
        if call.counted and call.outbox and call.outbox[-1] is END:
            call.outbox.clear()
            call.counted = False
            self.threads.busy -= 1

    def close(self) -> None:
        """Ends the threads."""
        self.threads.close()


async def refuse(send: Send, status: int) -> None:
    """An answer of the server's own."""
    headers = [(b"content-length", b"0")]
    if status == 503:
        headers.append((b"retry-after", b"1"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
