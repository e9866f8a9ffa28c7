"""Live servers for tests, each in a thread with a loop of its own on any backend, and a raw peer for them."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import trio

import hypercorn.asyncio
import hypercorn.trio
from hypercorn.config import Config

BACKENDS = ("asyncio", "uvloop", "trio")
PATIENCE = 10.0  # seconds after which a test that waits has failed
HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) ?[^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n")


class Records(logging.Handler):
    """Keeps log records."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self, level: int = logging.DEBUG) -> list[str]:
        """The messages of at least that level."""
        return [record.getMessage() for record in self.records if record.levelno >= level]


def new_logger(name: str) -> tuple[logging.Logger, Records]:
    """A logger that nobody else knows, and its records."""
    logger = logging.Logger(name, logging.DEBUG)
    handler = Records()
    logger.addHandler(handler)
    return logger, handler


def new_loop(backend: str) -> asyncio.AbstractEventLoop:
    """An event loop of asyncio or uvloop."""
    if backend == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    return asyncio.new_event_loop()


def run(backend: str, function: Callable[..., Any], *args: Any) -> Any:
    """Runs an async function on a backend, as `asyncio.run` and `trio.run` do."""
    if backend == "trio":
        return trio.run(function, *args)
    loop = new_loop(backend)
    try:
        asyncio.set_event_loop(loop)
        return loop.run_until_complete(function(*args))
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


def library(backend: str) -> Any:
    """`hypercorn.asyncio` or `hypercorn.trio`: what has `serve` and `server` for a backend."""
    return hypercorn.trio if backend == "trio" else hypercorn.asyncio


def sleep(backend: str) -> Callable[[float], Any]:
    """The backend's sleep."""
    return trio.sleep if backend == "trio" else asyncio.sleep


class Live:
    """A running server. `stop` ends it and raises what went wrong inside."""

    def __init__(
        self, app: Any, backend: str, *, mode: Any = None, config: Config | None = None, **options: Any
    ):
        self.backend = backend
        self.app = app
        self.mode = mode
        logger, self.log = new_logger("errors")
        access_logger, self.access = new_logger("access")
        self.config = Config() if config is None else config
        self.config.bind = ["127.0.0.1:0"]
        self.config.errorlog = logger
        if options.pop("access", False):
            self.config.accesslog = access_logger
        for name, value in options.items():
            assert hasattr(self.config, name), name
            setattr(self.config, name, value)
        self.loop_errors: list[dict[str, Any]] = []
        self.left_over: list[str] = []
        self.failure: BaseException | None = None
        self.ready = threading.Event()
        self.wake: Callable[[], Any] = lambda: None
        self.call_soon: Callable[..., Any] = lambda *_: None
        self.running: Any = None
        self.thread = threading.Thread(target=self.run, name=f"live-{backend}", daemon=True)
        self.thread.start()
        assert self.ready.wait(PATIENCE), "the server did not start"
        if self.failure is not None:
            self.stop()

    # -- in the thread

    def run(self) -> None:
        try:
            run(self.backend, self.on_trio if self.backend == "trio" else self.on_asyncio)
        except BaseException as error:
            self.failure = error
        finally:
            self.ready.set()

    async def on_asyncio(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        ended = asyncio.Event()
        self.wake = lambda: loop.call_soon_threadsafe(ended.set)
        self.call_soon = loop.call_soon_threadsafe
        before = asyncio.all_tasks()
        async with hypercorn.asyncio.server(self.app, self.config, mode=self.mode) as self.running:
            self.ready.set()
            await ended.wait()
        self.left_over = [repr(task) for task in asyncio.all_tasks() - before]

    async def on_trio(self) -> None:
        token = trio.lowlevel.current_trio_token()
        ended = trio.Event()

        def wake() -> None:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(ended.set)

        self.wake = wake
        self.call_soon = token.run_sync_soon
        async with hypercorn.trio.server(self.app, self.config, mode=self.mode) as self.running:
            self.ready.set()
            await ended.wait()

    # -- for the test

    @property
    def addresses(self) -> list[str]:
        """The URLs that it serves."""
        return self.running.addresses

    @property
    def url(self) -> str:
        """The first of them."""
        return self.addresses[0]

    @property
    def port(self) -> int:
        """The port of the first address."""
        return int(self.url.rsplit(":", 1)[1])

    @property
    def log_records(self) -> list[logging.LogRecord]:
        """What the server wrote to its error log."""
        return self.log.records

    def errors(self) -> list[str]:
        """Messages at WARNING and above, and what the loop's exception handler was told."""
        return self.log.texts(logging.WARNING) + [str(context["message"]) for context in self.loop_errors]

    def connect(self, **options: Any) -> Peer:
        """A connection to the first address."""
        return Peer(("127.0.0.1", self.port), **options)

    def on_loop(self, function: Callable[[], Any]) -> Any:
        """Runs a function on the server's loop and gives its result."""
        done = threading.Event()
        results: list[Any] = []

        def call() -> None:
            try:
                results.append(function())
            finally:
                done.set()

        self.call_soon(call)
        assert done.wait(PATIENCE)
        return results[0]

    def stop(self) -> None:
        """Ends the server gracefully. May be called again."""
        with suppress(RuntimeError):  # the loop is closed: it has ended
            self.wake()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive(), "the server did not end"
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        assert not self.left_over, f"tasks left behind: {self.left_over}"

    def __enter__(self) -> Live:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Response(NamedTuple):
    """A response as it came."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    head: bytes

    def header(self, name: str) -> str | None:
        """The value of a field, or None. Fails where it came more than once."""
        values = [value for key, value in self.headers if key.lower() == name]
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else None


class Peer:
    """A client that says exactly what the test wants, and reads exactly what came."""

    opened: list[Peer] = []  # closed when the test ends

    def __init__(
        self,
        address: Any,
        *,
        tls: ssl.SSLContext | None = None,
        timeout: float = PATIENCE,
        receive_buffer: int = 0,
    ):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        if not isinstance(address, str) and ":" in address[0]:
            family = socket.AF_INET6
        self.sock = socket.socket(family)
        self.opened.append(self)
        self.sock.settimeout(timeout)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.buffer = b""
        try:
            self.sock.connect(address)
            if family != socket.AF_UNIX:
                self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.sock = tls.wrap_socket(
                    self.sock, server_hostname="localhost", suppress_ragged_eofs=False
                )
        except BaseException:
            self.sock.close()
            raise

    @property
    def port(self) -> int:
        """Its own port, by which an application can tell connections apart."""
        return int(self.sock.getsockname()[1])

    def send(self, data: bytes) -> None:
        """Sends all."""
        self.sock.sendall(data)

    def get(self, target: str = "/", *fields: str, method: str = "GET") -> Response:
        """One request without a body, and its response."""
        self.send(request(target, *fields, method=method))
        return self.response(head=method == "HEAD")

    def end(self) -> None:
        """Half-closes."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Closes with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Closes."""
        self.sock.close()

    def more(self) -> bool:
        """Reads once into the buffer. False at the end."""
        data = self.sock.recv(65536)
        self.buffer += data
        return bool(data)

    def take(self, size: int) -> bytes:
        """Exactly that many bytes."""
        while len(self.buffer) < size:
            assert self.more(), f"the connection ended; got {self.buffer[:200]!r}"
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def until(self, mark: bytes) -> bytes:
        """Everything up to a mark, with it."""
        while mark not in self.buffer:
            assert self.more(), f"the connection ended; got {self.buffer[:200]!r}"
        return self.take(self.buffer.index(mark) + len(mark))

    def rest(self) -> bytes:
        """Everything until the server ends the connection."""
        while self.more():
            pass
        data, self.buffer = self.buffer, b""
        return data

    def ended(self) -> bool:
        """True once the server has closed, politely or not, without another byte."""
        try:
            return not self.buffer and not self.more()
        except ConnectionError:
            return True

    def head(self) -> tuple[int, list[tuple[str, str]], bytes]:
        """A response head."""
        raw = self.until(b"\r\n\r\n")
        match = HEAD.fullmatch(raw)
        assert match is not None, f"no response head: {raw!r}"
        fields = [line.partition(": ") for line in match[2].decode("latin-1").split("\r\n")[:-1]]
        return int(match[1]), [(name, value) for name, _, value in fields], raw

    def response(self, *, head: bool = False) -> Response:
        """A whole response; one to HEAD has no body."""
        status, headers, raw = self.head()
        names = {name.lower(): value for name, value in headers}
        body = b""
        if head or status in (204, 304) or status < 200:
            pass
        elif "content-length" in names:
            body = self.take(int(names["content-length"]))
        elif names.get("transfer-encoding") == "chunked":
            body = self.chunks()
        else:
            body = self.rest()
        return Response(status, headers, body, raw)

    def chunks(self) -> bytes:
        """A chunked body, its trailer fields dropped."""
        body = b""
        while True:
            size = int(self.until(b"\r\n"), 16)
            if not size:
                while self.until(b"\r\n") != b"\r\n":
                    pass
                return body
            body += self.take(size)
            assert self.take(2) == b"\r\n"

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


def request(target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def eventually(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Waits until a condition holds, and gives its value; fails when it does not in time."""
    end = time.monotonic() + within
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.002)


async def respond(send: Any, body: bytes = b"ok", status: int = 200, headers: Any = ()) -> None:
    """A whole response."""
    fields = [(b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def body_of(receive: Any) -> bytes:
    """The whole request body. Raises ConnectionError where the client goes before its end."""
    pieces = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionError("the client went away")
        pieces.append(message["body"])
        if not message["more_body"]:
            return b"".join(pieces)


async def lifespan(receive: Any, send: Any) -> None:
    """Answers every lifespan event."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Says hello; knows lifespan."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await respond(send, b"hello")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request's body."""
    await respond(send, await body_of(receive))
