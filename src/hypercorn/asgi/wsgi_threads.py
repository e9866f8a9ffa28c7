"""A WSGI application as an ASGI one: its calls run in threads of their own.

A request crosses to a thread once and comes back once: the loop hands over a call with the body, the thread leaves its
messages in the call's outbox and tells the loop that there is something. What further messages come until the loop
looks are taken along. A thread waits only for a client that does not read.

A call gets a thread when its body is whole (`wsgi_body`) and a thread is free. Until then the loop has it, and drops it
when its client leaves. Once it runs, its ASGI call lasts until the thread is done with it, whatever the client does:
so it counts as open for limits, for a shutdown and in the figures.
"""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import Context, copy_context
from io import BytesIO
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from hypercorn.asgi.exchange import Receive as OwnReceive
from hypercorn.asgi.responses import PLAIN_TEXT, RETRY_AFTER, length_of, respond
from hypercorn.asgi.wsgi_body import Body, BodyTooLargeError, Spool, SpoolError, SpoolFullError
from hypercorn.asgi.wsgi_environ import InvalidPathError, build_environ
from hypercorn.asgi.wsgi_response import Message, Responder
from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.limits import Limits

HIGH = 131072  # bytes in an outbox at which its thread waits
LOW = 32768  # and goes on
COST = 256  # bytes that a message counts for besides its body
LOOK_AGAIN = 0.1  # seconds between two looks at the calls that wait for a thread

END: Message = {}  # in an outbox: the thread is done with the call

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class LoopPort(Protocol):
    """An event loop as this module needs it: as `protocol.ports.Runtime` has it, a way in from other threads, and two
    ways of waiting."""

    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object]) -> Any: ...
    def call_soon(self, callback: Callable[[], object]) -> None: ...
    def waiter(self) -> Any: ...
    def wake(self, waiter: Any) -> None: ...

    def call_threadsafe(self, callback: Callable[[], object]) -> Any:
        """Runs `callback` on the loop. Raises RuntimeError when the loop has ended."""

    async def glance(self, awaitable: Any) -> Any:
        """The result of an awaitable where it has one already, else None."""

    async def outlast(self, waiter: Any) -> None:
        """Waits for a `waiter` in a task that was cancelled."""


class WSGISettings(NamedTuple):
    """The limits of a WSGI application. Sizes are bytes, times seconds."""

    max_body_size: int
    buffer_size: int
    spool_size: int
    threads: int
    queue_size: int
    queue_timeout: float
    multiprocess: bool
    sendfile: bool  # files may be left to the server, as no middleware stands between
    outlasting: bool  # a call lasts as long as its thread needs, also when it is cancelled


def wsgi_settings(limits: Limits, max_body_size: int, multiprocess: bool, alone: bool = True) -> WSGISettings:
    """The settings of an application that is served as it is, or (not `alone`) within an ASGI application."""
    return WSGISettings(
        max_body_size,
        limits.wsgi_buffer_size,
        limits.wsgi_spool_size,
        limits.wsgi_threads,
        limits.wsgi_queue_size,
        limits.wsgi_queue_timeout,
        multiprocess,
        alone,
        alone,
    )


class Threads:
    """Threads that run calls, each one at a time. They are started as they are needed, and end with this object.

    All but `work` is for the loop's thread alone.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.queue: SimpleQueue[Call | None] = SimpleQueue()
        self.started = 0
        self.running = 0  # threads that have a call, or are promised to one
        self.waiting: OrderedDict[Call, float] = OrderedDict()  # calls without a thread, and since when they wait

    def run(self, call: Call) -> None:
        """Runs a call for which a thread was taken."""
        if self.started < self.running:
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
        call.context.run(call.run_in_thread)
        del call  # nothing of a request is kept while this waits for the next


class Call(Responder):
    """One call of the application, between its thread and the loop."""

    __slots__ = (
        "body",
        "bridge",
        "context",
        "done",
        "environ",
        "error",
        "expired",
        "given",
        "gone",
        "has_thread",
        "outbox",
        "outlasting",
        "room",
        "sent_on",
        "waiter",
    )

    def __init__(self, bridge: ThreadedWSGI, scope: Any, environ: dict[str, Any]) -> None:
        super().__init__(scope)
        self.bridge = bridge
        self.environ = environ
        self.context: Context = copy_context()
        self.body: Body | None = None  # one that did not come in one piece
        self.outbox: deque[Message] = deque()
        self.error: BaseException | None = None
        self.waiter: Any = None  # of the loop's task
        self.has_thread = False
        self.expired = False  # it waited for one too long
        self.done = False  # the thread has left it
        self.outlasting: Any = None  # waiter of a task that was cancelled before that
        self.gone = False  # nothing reaches the client any more
        self.given = 0  # bytes put into the outbox
        self.sent_on = 0  # ... and taken from there
        self.room: SimpleQueue[None] | None = None  # where a thread waits that has to wait for the client

    # -- in the thread

    def run_in_thread(self) -> None:
        """The whole call."""
        environ, self.environ = self.environ, {}  # it may lead back to this
        try:
            self.run(self.bridge.app, environ)
        except BaseException as error:
            self.error = error
        if self.body is not None:
            self.body.close()
        self.outbox.append(END)
        self.done = True
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

    # -- on the loop

    async def serve(self, send: Send) -> None:
        """Sends what the thread gives until it is done. Raises what the application raised."""
        failure: BaseException | None = None
        outbox = self.outbox
        while True:
            while outbox:
                message = outbox.popleft()
                if message is END:
                    return self.raise_error(failure)
                if failure is None:
                    try:
                        await send(message)
                    except Exception as error:
                        failure = error
                        self.gone = True
                self.sent_on += len(message.get("body", b"")) + COST
            if self.room is not None and self.room.empty():
                self.room.put(None)
            self.waiter = self.bridge.port.waiter()
            await self.waiter

    def raise_error(self, failure: BaseException | None) -> None:
        """Raises what went wrong: in sending, else in the application."""
        error, self.error = failure or self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error, failure  # a cycle through the traceback otherwise

    def give_up(self) -> None:
        """Nothing is sent on any more: the thread must not wait for it."""
        self.gone = True
        self.waiter = None
        if self.room is not None:
            self.room.put(None)


class ThreadedWSGI:
    """The ASGI application. WebSockets are refused, a lifespan is left alone, other scopes raise."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: WSGISettings,
        port: LoopPort,
        warn: Callable[[str], object] | None = None,
    ) -> None:
        """`warn` takes what the log should say of a limit that refused a body, once."""
        self.app = app
        self.settings = settings
        self.port = port
        self.warn = warn
        self.threads = Threads(settings.threads)
        self.spool = Spool(settings.spool_size)
        self.most = min(settings.max_body_size, max(settings.spool_size, settings.buffer_size))  # bytes of a body
        self.arrived: deque[Call] = deque()  # calls whose outbox has something
        self.told = False  # the loop knows
        self.looking = False  # a timer runs for the calls that wait
        self.outlasting: set[Call] | None = set() if settings.outlasting else None  # cancelled calls that still run

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, send)
        elif scope["type"] != "lifespan":
            raise Exception(f"Unknown scope type, {scope['type']}")

    async def handle(self, scope: Any, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            environ = build_environ(scope, None, self.settings.multiprocess)
        except InvalidPathError:
            return await refuse(send, 404)
        length = environ.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > self.most:
            return await self.refuse_body(send)
        call = Call(self, scope, environ)
        call.can_sendfile = call.can_sendfile or self.settings.sendfile
        if "http.response.early_hint" in (scope.get("extensions") or ()):
            environ["wsgi.early_hints"] = call.early_hints
        message = await receive()
        if message["type"] != "http.request":
            return None  # nobody waits for an answer
        data = message.get("body", b"")
        if message.get("more_body"):
            await self.run_after_body(call, data, receive, send)
        elif len(data) > self.most:
            await self.refuse_body(send)
        else:
            environ["wsgi.input"] = BytesIO(data)
            if data and not length:
                # It came in chunks; many applications read no further than CONTENT_LENGTH.
                environ["CONTENT_LENGTH"] = str(len(data))
            await self.run(call, receive, send)
        return None

    async def run_after_body(self, call: Call, data: bytes, receive: Receive, send: Send) -> None:
        """The call, once the rest of its body is there. Nothing runs for a client that leaves before."""
        call.body = body = Body(self.spool, self.settings.buffer_size, self.most)
        try:
            body.write(data)
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return
                body.write(message.get("body", b""))
                if not message.get("more_body"):
                    break
            call.environ["wsgi.input"] = body.rewind()
            call.environ["CONTENT_LENGTH"] = str(body.size)
            await self.run(call, receive, send)
        except BodyTooLargeError:
            await self.refuse_body(send)
        except SpoolFullError:
            await refuse(send, 503)
        except SpoolError:
            await refuse(send, 503)
            raise
        finally:
            if not call.has_thread:
                body.close()
                body.give_back()

    async def refuse_body(self, send: Send) -> None:
        """Answers 413, and tells the log once which option a longer body needs."""
        if self.warn is not None:
            option = "wsgi_max_body_size" if self.most == self.settings.max_body_size else "wsgi_spool_size"
            self.warn(f"A request body of more than {self.most} bytes was refused (413) by the option {option}")
            self.warn = None
        await refuse(send, 413)

    async def run(self, call: Call, receive: Receive, send: Send) -> None:
        """The call, in a thread. Answers 503 where too many wait for one, or this did too long."""
        threads = self.threads
        if threads.running < threads.size:
            threads.running += 1
            call.has_thread = True
        elif len(threads.waiting) >= self.settings.queue_size:
            return await refuse(send, 503)
        elif not await self.wait_for_thread(call, receive):
            with suppress(OSError):  # it may be gone; one that closed its half only is told
                await refuse(send, 503)
            return None
        threads.run(call)
        try:
            await call.serve(send)
        except GeneratorExit:
            call.give_up()
            raise
        except BaseException:
            call.give_up()
            if self.outlasting is not None and not call.done:
                call.outlasting = self.port.waiter()
                self.outlasting.add(call)
                await self.port.outlast(call.outlasting)
            raise
        return None

    # -- calls that wait for a thread

    async def wait_for_thread(self, call: Call, receive: Receive) -> bool:
        """Waits until a thread is free for a call. False where its time is over, or its client left."""
        waiting = self.threads.waiting
        waiting[call] = self.port.now()
        self.look_later()
        left = True
        try:
            while not call.has_thread and not call.expired:
                call.waiter = self.port.waiter()
                await call.waiter
                if await self.has_left(receive):
                    return False
            left = not call.has_thread
        finally:
            call.waiter = None
            if left:
                if call.has_thread:
                    call.has_thread = False
                    self.port.call_soon(self.thread_is_free)
                else:
                    waiting.pop(call, None)
        return not left

    async def has_left(self, receive: Receive) -> bool:
        """True where the client of a whole request is gone."""
        awaitable: Any = receive()
        if not isinstance(awaitable, OwnReceive):
            message = await self.port.glance(awaitable)
        else:
            message = awaitable.result() if awaitable.ready() else None
        return message is not None and message["type"] == "http.disconnect"

    def look_later(self) -> None:
        """Has the calls that wait look around soon."""
        if not self.looking:
            self.looking = True
            self.port.call_at(self.port.now() + LOOK_AGAIN, self.look)

    def look(self) -> None:
        """Lets each call that waits see whether its client is still there, and whether it has waited too long."""
        self.looking = False
        patience = self.settings.queue_timeout
        now = self.port.now()
        for call, since in list(self.threads.waiting.items()):
            call.expired = now - since >= patience
            self.go_on(call)
        if self.threads.waiting:
            self.look_later()

    def thread_is_free(self) -> None:
        """On the loop, outside of tasks: the call that has waited longest gets the thread."""
        if self.threads.waiting:
            call, _ = self.threads.waiting.popitem(last=False)
            call.has_thread = True
            self.go_on(call)
        else:
            self.threads.running -= 1

    # -- between the threads and the loop

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
            if call.done and call.has_thread:
                self.leave_thread(call)
            self.go_on(call)

    def leave_thread(self, call: Call) -> None:
        """A thread has done with its call."""
        call.has_thread = False
        if call.body is not None:
            call.body.give_back()
        self.thread_is_free()
        if call.outlasting is not None:
            self.end_wait(call)

    def go_on(self, call: Call) -> None:
        """Lets the task of a call go on, if it waits."""
        waiter = call.waiter
        if waiter is not None:
            call.waiter = None
            self.port.wake(waiter)

    def end_wait(self, call: Call) -> None:
        """Lets a task end that was cancelled before."""
        waiter, call.outlasting = call.outlasting, None
        if self.outlasting is not None:
            self.outlasting.discard(call)
        self.port.wake(waiter)

    def release(self) -> None:
        """From now on a call that is cancelled ends at once, and its thread is left alone."""
        calls, self.outlasting = self.outlasting, None
        for call in calls or ():
            self.end_wait(call)

    def close(self) -> None:
        """Ends the threads."""
        self.release()
        self.threads.close()


async def refuse_websocket(scope: Any, send: Send) -> None:
    """Answers a WebSocket handshake by 501, in words, where the server can answer one; else it is closed."""
    if "websocket.http.response" in (scope.get("extensions") or ()):
        body = b"This is a WSGI application, and WSGI has no WebSockets.\n"
        await respond(send, 501, [PLAIN_TEXT, length_of(body)], body, websocket=True)
    else:
        await send({"type": "websocket.close"})


async def refuse(send: Send, status: int) -> None:
    """An answer of the server's own."""
    await respond(send, status, [length_of(b""), *([RETRY_AFTER] if status == 503 else ())])
