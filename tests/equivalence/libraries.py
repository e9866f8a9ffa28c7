"""Applications over real libraries that depend on tasks, context variables, threads or the loop.

Each takes a `Journal`, in which its calls tell what they observed, and gives an ASGI application with a lifespan. A
library is imported where it is used: what is not installed is skipped by its name.
"""

from __future__ import annotations

import asyncio
import contextvars
import re
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.equivalence.programs import current_task
from tests.support.answers import in_trio, pause

USER: contextvars.ContextVar[str] = contextvars.ContextVar("USER", default="nobody")


class Journal:
    """What calls observed, by the path of the request: calls of one client may overlap."""

    def __init__(self) -> None:
        self.calls: dict[str, list[str]] = {}

    def say(self, path: str, *words: object) -> None:
        """Tells what was observed, without the numbers of objects."""
        text = re.sub(r"\b0x[0-9a-f]+|\b[0-9a-f]{8,}\b|(?<=Task-)[0-9]+", "ID", " ".join(map(str, words)))
        self.calls.setdefault(path, []).append(text)


App = Any
Library = Callable[[Journal], App]


def on_loop() -> bool:
    """True on the thread of a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def text(send: Any, body: str, status: int = 200) -> None:
    """A response of text."""
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def with_lifespan(handle: Any, life: Any = None) -> App:
    """An application of one handler for requests; `life` is a context manager around all of them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await handle(scope, receive, send)
            return
        await receive()
        async with life() if life is not None else nothing():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


def starlette(journal: Journal) -> App:
    """A middleware that runs the application in a task of its own, background tasks, streams, errors."""
    pytest.importorskip("starlette")
    import anyio
    from starlette.applications import Starlette
    from starlette.background import BackgroundTask
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Route

    async def dispatch(request: Any, call_next: Any) -> Any:
        path = request.url.path
        task = current_task()
        USER.set(path)
        response = await call_next(request)
        journal.say(path, "dispatched", response.status_code, USER.get(), current_task() is task)
        return response

    async def background(request: Any) -> Any:
        path = request.url.path
        task = current_task()

        async def later() -> None:
            journal.say(path, "background", USER.get(), current_task() is task)
            await anyio.sleep(0.001)
            journal.say(path, "background ends", await request.is_disconnected())

        return PlainTextResponse(USER.get(), background=BackgroundTask(later))

    async def blocking(request: Any) -> Any:
        path = request.url.path
        return PlainTextResponse(path, background=BackgroundTask(lambda: journal.say(path, on_loop(), USER.get())))

    async def stream(request: Any) -> Any:
        path = request.url.path

        async def pieces() -> AsyncIterator[str]:
            try:
                for number in range(3):
                    journal.say(path, "piece", number, USER.get())
                    yield f"{number} "
                    await pause(0)
            finally:
                journal.say(path, "closed")

        return StreamingResponse(pieces())

    async def refused(request: Any) -> Any:
        try:
            raise KeyError("inner")
        except KeyError:
            raise HTTPException(404, "none such") from None

    async def broken(request: Any) -> Any:
        error = ValueError("broken")
        journal.say(request.url.path, repr(error.__context__))
        raise error

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[dict[str, Any]]:
        journal.say("lifespan", "starts")
        yield {"of": "lifespan"}
        journal.say("lifespan", "ends")

    handlers = (background, blocking, refused, stream, broken)
    return Starlette(
        routes=[Route(f"/{handler.__name__}", handler) for handler in handlers],
        middleware=[Middleware(BaseHTTPMiddleware, dispatch=dispatch)],
        lifespan=lifespan,
    )


def fastapi(journal: Journal) -> App:
    """Routes on the loop and in threads, with dependencies that clean up after the response, or after an error."""
    pytest.importorskip("fastapi")
    from tests.equivalence.fastapi_routes import make

    return make(journal)


def sqlalchemy(journal: Journal) -> App:
    """A session for each task, as `async_scoped_session` has it."""
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    pytest.importorskip("greenlet")
    from sqlalchemy import text as sql
    from sqlalchemy.ext.asyncio import async_scoped_session, async_sessionmaker, create_async_engine
    from sqlalchemy.pool import StaticPool

    engine = create_async_engine("sqlite+aiosqlite://", poolclass=StaticPool)
    Session = async_scoped_session(async_sessionmaker(engine), scopefunc=asyncio.current_task)
    sessions: list[Any] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with engine.begin() as connection:
            await connection.execute(sql("create table seen (path text)"))
        yield
        await engine.dispose()

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        session = Session()
        journal.say(path, "new session", session not in sessions)
        sessions.append(session)
        try:
            await Session.execute(sql("insert into seen values (:path)"), {"path": path})
            journal.say(path, "kept", Session() is session, len(Session.registry.registry))
            other = await asyncio.create_task(in_another_task())
            journal.say(path, "another task's", other is not session)
            await Session.commit()
            count = (await Session.execute(sql("select count(*) from seen"))).scalar()
        finally:
            await Session.remove()
        journal.say(path, "left", len(Session.registry.registry))
        await text(send, f"{count}")

    async def in_another_task() -> Any:
        session = Session()
        await Session.remove()
        return session

    return with_lifespan(handle, life)


class Pool:
    """A pool of two connections that belong to tasks, as drivers of databases have it."""

    def __init__(self) -> None:
        import anyio

        self.free = ["first", "second"]
        self.owners: dict[Any, str] = {}
        self.changed = anyio.Condition()

    async def acquire(self) -> str:
        """A connection for the current task, which must have none."""
        task = current_task()
        if task in self.owners:
            raise RuntimeError("this task has a connection already")
        async with self.changed:
            while not self.free:
                await self.changed.wait()
            self.free.sort()
            self.owners[task] = self.free.pop(0)
        return self.owners[task]

    async def release(self) -> None:
        """Gives the current task's connection back."""
        import anyio

        name = self.owners.pop(current_task())
        with anyio.CancelScope(shield=True):
            async with self.changed:
                self.free.append(name)
                self.changed.notify()


def pool(journal: Journal) -> App:
    """Connections and locks that belong to tasks, across waits and cancellations."""
    import anyio

    made: list[Any] = []  # on the loop that serves

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        if not made:
            made.extend((Pool(), anyio.Lock(), anyio.CapacityLimiter(1)))
        connections, lock, limiter = made
        journal.say(path, await connections.acquire(), len(connections.owners))
        try:
            await connections.acquire()
        except RuntimeError as error:
            journal.say(path, error)
        caught: list[bool] = []
        async with anyio.create_task_group() as group:
            for seconds in (0.005, 0.001):
                group.start_soon(compete, connections, seconds, caught)
        journal.say(path, "cancelled", caught)
        await connections.release()
        async with lock, limiter:
            journal.say(path, lock.statistics().owner.id == anyio.get_current_task().id)
            journal.say(path, limiter.statistics().borrowers == (current_task(),))
            await pause(0)
            with anyio.move_on_after(0.001) as scope_of_wait:
                async with anyio.create_task_group() as group:
                    group.start_soon(lock.acquire)
            journal.say(path, scope_of_wait.cancelled_caught, lock.statistics().tasks_waiting)
        journal.say(path, sorted(connections.free), len(connections.owners), lock.locked())
        await text(send, path)

    async def compete(connections: Any, seconds: float, caught: list[bool]) -> None:
        with anyio.move_on_after(seconds) as scope:
            await connections.acquire()
            try:
                await anyio.sleep(5)
            finally:
                await connections.release()
        caught.append(scope.cancelled_caught)

    return with_lifespan(handle)


def asyncpg_like(journal: Journal) -> App:
    """A driver with sockets, shields, timers and cancellations, as asyncpg's pool has them."""
    from tests.equivalence.database import database, use

    pools: list[Any] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        async with database(2) as pool:
            pools.append(pool)
            yield

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        await use(pools[0], path, lambda *words: journal.say(path, *words))
        await text(send, path)

    return with_lifespan(handle, life)


def sentry(journal: Journal) -> App:
    """Errors and spans of each request, with what was said of that request alone."""
    sentry_sdk = pytest.importorskip("sentry_sdk")
    from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
    from sentry_sdk.integrations.asyncio import AsyncioIntegration, patch_asyncio
    from sentry_sdk.transport import Transport

    class Recorder(Transport):
        def capture_envelope(self, envelope: Any) -> None:
            for item in envelope.items:
                event = item.payload.json
                if item.type in ("event", "transaction"):
                    url = str(event.get("transaction"))
                    journal.say(
                        url[url.rfind("/") :],
                        item.type,
                        [error["type"] for error in event.get("exception", {}).get("values", ())],
                        event.get("tags"),
                        [crumb["message"] for crumb in event.get("breadcrumbs", {}).get("values", ())],
                        [(span["op"], span["description"]) for span in event.get("spans", ())],
                    )

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        sentry_sdk.init(
            "https://key@sentry.invalid/1",
            transport=Recorder,
            default_integrations=False,
            auto_enabling_integrations=False,
            integrations=[AsyncioIntegration()],
            traces_sample_rate=1.0,
        )
        patch_asyncio()  # the integration does that for the first loop of a process alone
        try:
            yield
        finally:
            sentry_sdk.get_client().close()
            sentry_sdk.get_global_scope().set_client(None)

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        sentry_sdk.set_tag("path", path)
        sentry_sdk.add_breadcrumb(message=f"asked for {path}")
        await asyncio.create_task(work())
        try:
            raise KeyError(path)
        except KeyError:
            sentry_sdk.capture_exception()
        if path == "/broken":
            raise ValueError("broken")
        await text(send, path)

    async def work() -> None:
        with sentry_sdk.start_span(op="work", name=str(sentry_sdk.get_isolation_scope()._tags)):
            await asyncio.sleep(0)

    return with_lifespan(SentryAsgiMiddleware(handle, transaction_style="url"), life)


def opentelemetry(journal: Journal) -> App:
    """Spans, and whose children they are."""
    pytest.importorskip("opentelemetry.instrumentation.asgi")
    pytest.importorskip("opentelemetry.sdk")
    import anyio
    from opentelemetry import trace
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

    names: dict[int, str] = {}

    class Exporter(SpanExporter):
        def export(self, spans: Any) -> Any:
            for span in spans:
                attributes: Any = span.attributes or {}
                path = paths.get(span.context.trace_id, "?")
                parent = names.get(span.parent.span_id) if span.parent else None
                status = attributes.get("http.status_code", attributes.get("http.response.status_code"))
                journal.say(path, span.name, span.kind, parent, status, [event.name for event in span.events])
            return SpanExportResult.SUCCESS

    paths: dict[int, str] = {}
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Exporter()))
    tracer = provider.get_tracer("tests")

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        span: Any = trace.get_current_span()
        paths[span.context.trace_id] = path
        names[span.context.span_id] = "the request's"
        begun, ended = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(work, "one", begun, ended)
            group.start_soon(work, "two", ended, begun)
        journal.say(path, trace.get_current_span() is span)
        if path == "/broken":
            raise ValueError("broken")
        await text(send, path)

    async def work(name: str, tells: anyio.Event, waits: anyio.Event) -> None:
        if name == "two":
            await waits.wait()  # the other one's span is open
        with tracer.start_as_current_span(name) as span:
            names[span.get_span_context().span_id] = name
            if name == "one":
                tells.set()
                await waits.wait()
            with tracer.start_as_current_span(f"inside of {name}"):
                await pause(0)
        tells.set()

    return with_lifespan(OpenTelemetryMiddleware(handle, tracer_provider=provider))


def structlog(journal: Journal) -> App:
    """What is bound to a request is in its lines, also in those of its tasks and threads, and in no other's."""
    library = pytest.importorskip("structlog")
    import anyio

    def keep(_: Any, __: str, event: dict[str, Any]) -> str:
        journal.say(str(event.get("path")), sorted(event.items()))
        raise library.DropEvent

    log = library.wrap_logger(None, processors=[library.contextvars.merge_contextvars, keep])

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        journal.say(path, library.contextvars.get_contextvars())
        library.contextvars.bind_contextvars(path=path)
        log.info("asked")
        async with anyio.create_task_group() as group:
            group.start_soon(work)
        await anyio.to_thread.run_sync(log.info, "in a thread")
        with library.contextvars.bound_contextvars(step="last"):
            log.info("answers")
            await text(send, path)
        log.info("done")

    async def work() -> None:
        library.contextvars.bind_contextvars(step="in a task")
        log.info("works")

    return with_lifespan(handle)


def asgiref(journal: Journal) -> App:
    """Sync code that is bound to one thread, and async code called out of it."""
    sync = pytest.importorskip("asgiref.sync")
    local = pytest.importorskip("asgiref.local").Local()

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        journal.say(path, sync.iscoroutinefunction(receive), sync.iscoroutinefunction(send), hasattr(local, "path"))
        local.path = path
        USER.set(path)
        threads: list[Any] = []

        def in_a_thread() -> str:
            threads.append(threading.current_thread())
            journal.say(path, "in a thread", on_loop(), USER.get(), local.path)
            USER.set("of the thread")
            return str(sync.async_to_sync(back)("there"))

        async def back(word: str) -> str:
            journal.say(path, "back", asyncio.get_running_loop() is loop, asyncio.current_task() is task, USER.get())
            await asyncio.sleep(0)
            return word

        for _ in range(2):
            journal.say(path, await sync.sync_to_async(in_a_thread)(), USER.get())
        journal.say(path, "the same thread", threads[0] is threads[1])
        async with sync.ThreadSensitiveContext():
            await sync.sync_to_async(in_a_thread)()
        journal.say(path, "a thread of its own", threads[2] is not threads[0])
        try:
            sync.async_to_sync(back)("never")
        except RuntimeError as error:
            journal.say(path, str(error)[:40])
        await sync.sync_to_async(sync.async_to_sync(send))(
            {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        )
        await send({"type": "http.response.body", "body": b"ok"})

    return with_lifespan(handle)


def clients(journal: Journal) -> App:
    """HTTP clients in handlers: their connections outlive a request, and their timeouts are those of tasks."""
    aiohttp = pytest.importorskip("aiohttp")
    httpx = pytest.importorskip("httpx")
    from tests.equivalence.upstream import upstream

    held: list[Any] = []

    @asynccontextmanager
    async def life() -> AsyncIterator[None]:
        with upstream() as url:
            async with httpx.AsyncClient(base_url=url) as client:
                if in_trio():
                    held[:] = [client]
                    yield
                    return
                async with aiohttp.ClientSession(url) as session:
                    held[:] = [client, session]
                    yield

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        for _ in range(2):
            journal.say(path, (await held[0].get(path)).text)
        try:
            await held[0].get("/slow", timeout=httpx.Timeout(10, read=0.05))
        except httpx.TimeoutException as error:
            journal.say(path, type(error).__name__)
        if not in_trio():
            async with held[1].get(path) as response:
                journal.say(path, await response.text())
            try:
                await held[1].get("/slow", timeout=aiohttp.ClientTimeout(total=0.05))
            except asyncio.TimeoutError as error:  # not the builtin one before Python 3.11
                journal.say(path, type(error).__name__)
            answers = await asyncio.gather(*(held[0].get(f"{path}{number}") for number in range(3)))
            journal.say(path, [answer.text for answer in answers])
        await text(send, path)

    return with_lifespan(handle, life)


def anyio_scopes(journal: Journal) -> App:
    """Nested scopes, shields, deadlines, failures of groups, and what cancellations say."""
    import anyio

    async def handle(scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        with anyio.CancelScope() as outer:
            outer.cancel()
            with anyio.CancelScope(shield=True):
                await pause(0)
                journal.say(path, "shielded")
            try:
                await anyio.sleep(5)
            except anyio.get_cancelled_exc_class() as error:
                journal.say(path, "cancelled", type(error).__name__, str(error).partition(" running at ")[0])
                raise
        try:
            with anyio.fail_after(0.001):
                await receive()
                await receive()
        except TimeoutError as error:
            journal.say(path, "timed out", type(error.__context__).__name__)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(fail)
                group.start_soon(wait, path)
                await anyio.sleep(5)
        except Exception as error:  # a group
            journal.say(path, type(error).__name__, [str(one) for one in error.exceptions])  # type: ignore[attr-defined]
        if not in_trio() and sys.version_info >= (3, 11):
            task: Any = asyncio.current_task()
            journal.say(path, "cancelling", task.cancelling())
        stream_in, stream_out = anyio.create_memory_object_stream[int](0)
        async with anyio.create_task_group() as group, stream_in, stream_out:
            group.start_soon(stream_in.send, 7)
            journal.say(path, await stream_out.receive())
        journal.say(path, anyio.get_current_task().parent_id is None)
        await text(send, path)

    async def fail() -> None:
        await anyio.sleep(0.001)
        raise ValueError("one failed")

    async def wait(path: str) -> None:
        try:
            await anyio.sleep(5)
        except anyio.get_cancelled_exc_class():
            journal.say(path, "the other one was cancelled")
            raise

    return with_lifespan(handle)


# A library, the paths that are asked of it, and the loops that it works on.
ASYNCIO = ("asyncio", "uvloop")
ALL = (*ASYNCIO, "trio")
LIBRARIES: list[tuple[Library, list[str], tuple[str, ...]]] = [
    (starlette, ["/background", "/blocking", "/stream", "/refused", "/stream", "/background", "/broken"], ALL),
    (fastapi, ["/async", "/sync", "/refused", "/async", "/broken"], ASYNCIO),
    (sqlalchemy, ["/one", "/two", "/three"], ASYNCIO),
    (pool, ["/one", "/two", "/three"], ALL),
    (asyncpg_like, ["/one", "/two", "/three"], ASYNCIO),
    (sentry, ["/one", "/two", "/broken"], ASYNCIO),
    (opentelemetry, ["/one", "/two", "/broken"], ALL),
    (structlog, ["/one", "/two", "/three"], ALL),
    (asgiref, ["/one", "/two", "/three"], ASYNCIO),
    (clients, ["/one", "/two", "/three"], ALL),
    (anyio_scopes, ["/one", "/two", "/three"], ALL),
]
