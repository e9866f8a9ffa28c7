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
from typing import NamedTuple, Protocol, TypeVar

from hypercorn.asgi.exchange import Receive as OwnReceive
from hypercorn.asgi.messages import Environ, Message, Receive, Scope, Send
from hypercorn.asgi.responses import PLAIN_TEXT, RETRY_AFTER, length_of, respond
from hypercorn.asgi.wsgi_body import Body, BodyTooLargeError, Spool, SpoolError, SpoolFullError
from hypercorn.asgi.wsgi_environ import InvalidPathError, build_environ
from hypercorn.asgi.wsgi_response import Responder
from hypercorn.errors import ClientDisconnected
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.runtime import Timer, Waiter

_T = TypeVar("_T")
HIGH_WATER_BYTES = 131072  # bytes in an outbox at which its thread waits
LOW_WATER_BYTES = 32768  # and goes on
MESSAGE_BYTES = 256  # bytes that a message counts for besides its body
CHECK_SECONDS = 0.1  # seconds between two looks at the calls that wait for a thread

END: Message = {}  # in an outbox: the thread is done with the call


class LoopAccess(Protocol):
    """An event loop as this module needs it: as `protocol.ports.Runtime` has it, a way in from other threads, and two
    ways of waiting."""

    def now(self) -> float: ...
    def call_at(self, when: float, callback: Callable[[], object]) -> Timer: ...
    def call_soon(self, callback: Callable[[], object]) -> None: ...
    def waiter(self) -> Waiter: ...
    def wake(self, waiter: Waiter) -> None: ...

    def call_threadsafe(self, callback: Callable[[], object]) -> object:
        """Runs `callback` on the loop. Raises RuntimeError when the loop has ended."""

    async def await_briefly(self, awaitable: Awaitable[_T]) -> _T | None:
        """The result of an awaitable where it has one already, else None."""

    async def wait_although_cancelled(self, waiter: Waiter) -> None:
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
    wait_for_threads: bool  # a call lasts as long as its thread needs, also when it is cancelled


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
    """Runs calls until `queue` gives None: the function of a thread."""
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
        "end_waiter",
        "environ",
        "error",
        "expired",
        "failure",
        "given",
        "gone",
        "has_thread",
        "outbox",
        "room",
        "sent_on",
        "waiter",
    )

    def __init__(self, bridge: ThreadedWSGI, scope: Scope, environ: Environ) -> None:
        super().__init__(scope)
        self.bridge = bridge
        self.environ = environ
        self.context: Context = copy_context()
        self.body: Body | None = None  # one that did not come in one piece
        self.outbox: deque[Message] = deque()
        self.error: BaseException | None = None  # of the application
        self.failure: Exception | None = None  # of sending; a local name would be a cycle through its traceback
        self.waiter: Waiter | None = None  # of the loop's task
        self.has_thread = False
        self.expired = False  # it waited for one too long
        self.done = False  # the thread has left it
        self.end_waiter: Waiter | None = None  # waiter of a task that was cancelled before that
        self.gone = False  # nothing reaches the client any more
        self.given = 0  # bytes put into the outbox
        self.sent_on = 0  # ... and taken from there
        self.room: SimpleQueue[None] | None = None  # where a thread waits that has to wait for the client

    # -- in the thread

    def run_in_thread(self) -> None:
        """The whole call."""
        environ, self.environ = self.environ, {}  # it may lead back to this
        if "wsgi.early_hints" in environ:
            environ["wsgi.early_hints"] = self.early_hints
        try:
            self.run(self.bridge.app, environ)
        except BaseException as error:
            self.error = error
        if self.body is not None:
            self.body.close()
        self.outbox.append(END)
        self.done = True
        self.bridge.notify_loop(self)

    def emit(self, message: Message, size: int) -> None:
        if self.gone:
            raise ClientDisconnected("the client is gone")
        self.outbox.append(message)
        self.given += size + MESSAGE_BYTES

    def flush(self) -> None:
        self.bridge.notify_loop(self)
        if self.given - self.sent_on > HIGH_WATER_BYTES:
            if self.room is None:
                self.room = SimpleQueue()
            while self.given - self.sent_on > LOW_WATER_BYTES and not self.gone:
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
        outbox = self.outbox
        while True:
            while outbox:
                message = outbox.popleft()
                if message is END:
                    return self.raise_error()
                if self.failure is None:
                    try:
                        await send(message)
                    except Exception as error:
                        self.failure = error
                        self.gone = True
                self.sent_on += len(message.get("body", b"")) + MESSAGE_BYTES
            if self.room is not None and self.room.empty():
                self.room.put(None)
            self.waiter = self.bridge.loop.waiter()
            await self.waiter

    def raise_error(self) -> None:
        """Raises what went wrong: in sending, else in the application."""
        error = self.failure or self.error
        self.failure = self.error = None
        try:
            if error is not None:
                raise error
        finally:
            del error  # a cycle through the traceback otherwise

    def abandon(self) -> None:
        """Stops sending: the thread must not wait for its client any more."""
        self.gone = True
        self.waiter = self.failure = self.error = None
        if self.room is not None:
            self.room.put(None)


class ThreadedWSGI:
    """The ASGI application. WebSockets are refused, a lifespan is left alone, other scopes raise."""

    def __init__(
        self,
        app: Callable[..., Iterable[bytes]],
        settings: WSGISettings,
        loop: LoopAccess,
        warn: Callable[[str], object] | None = None,
    ) -> None:
        """`warn` takes what the log should say of a limit that refused a body, once."""
        self.app = app
        self.settings = settings
        self.loop = loop
        self.warn = warn
        self.threads = Threads(settings.threads)
        self.spool = Spool(settings.spool_size)
        self.max_body = min(settings.max_body_size, max(settings.spool_size, settings.buffer_size))  # bytes of a body
        self.arrived: deque[Call] = deque()  # calls whose outbox has something
        self.waited: Callable[[Receive, float], None] | None = None  # told how long a call waited for a thread
        self.loop_notified = False  # the loop knows
        self.check_scheduled = False  # a timer runs for the calls that wait
        self.cancelled_calls: set[Call] | None = set() if settings.wait_for_threads else None  # that still run

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.handle(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, send)
        elif scope["type"] != "lifespan":
            raise Exception(f"Unknown scope type, {scope['type']}")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        try:
            environ = build_environ(scope, None, self.settings.multiprocess)
        except InvalidPathError:
            return await refuse(send, 404)
        length = environ.get("CONTENT_LENGTH")
        if length and length.isdigit() and int(length) > self.max_body:
            return await self.refuse_body(send)
        call = Call(self, scope, environ)
        call.can_sendfile = call.can_sendfile or self.settings.sendfile
        if "http.response.early_hint" in (scope.get("extensions") or ()):
            environ["wsgi.early_hints"] = None  # the thread's to fill: a call that never runs would be a cycle
        message = await receive()
        if message["type"] != "http.request":
            return None  # nobody waits for an answer
        data = message.get("body", b"")
        if message.get("more_body"):
            await self.run_after_body(call, data, receive, send)
        elif len(data) > self.max_body:
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
        call.body = body = Body(self.spool, self.settings.buffer_size, self.max_body)
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
            option = "wsgi_max_body_size" if self.max_body == self.settings.max_body_size else "wsgi_spool_size"
            self.warn(f"A request body of more than {self.max_body} bytes was refused (413) by the option {option}")
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
            call.abandon()
            raise
        except BaseException:
            call.abandon()
            if self.cancelled_calls is not None and not call.done:
                call.end_waiter = self.loop.waiter()
                self.cancelled_calls.add(call)
                await self.loop.wait_although_cancelled(call.end_waiter)
            raise
        return None

    # -- calls that wait for a thread

    async def wait_for_thread(self, call: Call, receive: Receive) -> bool:
        """Waits until a thread is free for a call. False where its time is over, or its client left."""
        waiting = self.threads.waiting
        since = waiting[call] = self.loop.now()
        self.schedule_check()
        left = True
        try:
            while not call.has_thread and not call.expired:
                call.waiter = self.loop.waiter()
                await call.waiter
                if await self.has_left(receive):
                    return False
            left = not call.has_thread
        finally:
            call.waiter = None
            if self.waited is not None:
                self.waited(receive, self.loop.now() - since)
            if left:
                if call.has_thread:
                    call.has_thread = False
                    self.loop.call_soon(self.thread_is_free)
                else:
                    waiting.pop(call, None)
        return not left

    async def has_left(self, receive: Receive) -> bool:
        """True where the client of a whole request is gone."""
        awaitable = receive()
        if not isinstance(awaitable, OwnReceive):
            message = await self.loop.await_briefly(awaitable)
        else:
            message = awaitable.result() if awaitable.ready() else None
        return message is not None and message["type"] == "http.disconnect"

    def schedule_check(self) -> None:
        """Has the calls that wait look around soon."""
        if not self.check_scheduled:
            self.check_scheduled = True
            self.loop.call_at(self.loop.now() + CHECK_SECONDS, self.check_waiting)

    def check_waiting(self) -> None:
        """Lets each call that waits see whether its client is still there, and whether it has waited too long."""
        self.check_scheduled = False
        patience = self.settings.queue_timeout
        now = self.loop.now()
        for call, since in list(self.threads.waiting.items()):
            call.expired = now - since >= patience
            self.resume(call)
        if self.threads.waiting:
            self.schedule_check()

    def thread_is_free(self) -> None:
        """On the loop, outside of tasks: the call that has waited longest gets the thread."""
        if self.threads.waiting:
            call, _ = self.threads.waiting.popitem(last=False)
            call.has_thread = True
            self.resume(call)
        else:
            self.threads.running -= 1

    # -- between the threads and the loop

    def notify_loop(self, call: Call) -> None:
        """In a thread: a call's outbox has something."""
        self.arrived.append(call)
        if not self.loop_notified:
            self.loop_notified = True
            with suppress(RuntimeError):  # the loop has ended, and with it the server
                self.loop.call_threadsafe(self.resume_calls)

    def resume_calls(self) -> None:
        """On the loop: lets the calls' tasks look into their outboxes."""
        self.loop_notified = False  # first, so that what comes from now on is told again
        arrived = self.arrived
        for _ in range(len(arrived)):
            call = arrived.popleft()
            if call.done and call.has_thread:
                self.thread_is_done(call)
            self.resume(call)

    def thread_is_done(self, call: Call) -> None:
        """A thread has done with its call."""
        call.has_thread = False
        if call.body is not None:
            call.body.give_back()
        if call.gone:
            call.error = None  # nobody asks for it, and its traceback leads back to the call
        self.thread_is_free()
        if call.end_waiter is not None:
            self.end_wait(call)

    def resume(self, call: Call) -> None:
        """Lets the task of a call go on, if it waits."""
        waiter = call.waiter
        if waiter is not None:
            call.waiter = None
            self.loop.wake(waiter)

    def end_wait(self, call: Call) -> None:
        """Lets a task end that was cancelled before."""
        waiter, call.end_waiter = call.end_waiter, None
        if self.cancelled_calls is not None:
            self.cancelled_calls.discard(call)
        if waiter is not None:
            self.loop.wake(waiter)

    def release(self) -> None:
        """From now on a call that is cancelled ends at once, and its thread is left alone."""
        calls, self.cancelled_calls = self.cancelled_calls, None
        for call in calls or ():
            self.end_wait(call)

    def close(self) -> None:
        """Ends the threads."""
        self.release()
        self.threads.close()


async def refuse_websocket(scope: Scope, send: Send) -> None:
    """Answers a WebSocket handshake by 501, in words, where the server can answer one; else it is closed."""
    if "websocket.http.response" in (scope.get("extensions") or ()):
        body = b"This is a WSGI application, and WSGI has no WebSockets.\n"
        await respond(send, 501, [PLAIN_TEXT, length_of(body)], body, websocket=True)
    else:
        await send({"type": "websocket.close"})


async def refuse(send: Send, status: int) -> None:
    """An answer of the server's own."""
    await respond(send, status, [length_of(b""), *([RETRY_AFTER] if status == 503 else ())])
