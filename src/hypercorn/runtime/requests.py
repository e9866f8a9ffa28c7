"""The requests and WebSockets in flight: collected when somebody asks, from the calls that the loop keeps anyway.

Nothing is noted while requests are served. Where a call stands is read off its coroutine, by the attributes that
`inspect` documents (`cr_frame`, `cr_await`, and those of generators).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

from hypercorn.asgi.exchange import ASGIExchange, Receive, Send
from hypercorn.asgi.http import HTTPExchange
from hypercorn.asgi.wsgi_threads import Call as WSGICall
from hypercorn.asgi.wsgi_threads import ThreadedWSGI

if TYPE_CHECKING:
    from hypercorn.runtime.ports import LoopRuntime

RECEIVING = 0  # of asgi.http, where it is compiled to a C number
MAX_REQUESTS = 1000  # that are listed, the oldest
MAX_FRAMES = 16  # of a call's stack that are listed, the innermost
MAX_DEPTH = 500  # awaits of one another that are followed
MAX_FILES = 10_000  # names that are kept
MAX_PATH = 200  # characters of a path
READING, APPLICATION, WAITING = "reading body", "in the application", "waiting for the client"
MESSAGE, DISCONNECT, THREAD = "waiting for a message", "waiting for a disconnect", "waiting for a thread"
TURN = "waiting for its turn"  # of the tasks that the loop has yet to begin
ANSWERED, GONE = "after the response", "after the client left"
PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
LIBRARY = sysconfig.get_paths()["stdlib"] + os.sep
INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
ATTRIBUTES = (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await"))


class Stack(NamedTuple):
    """Where a call stands: its frames, the innermost last, and what the innermost awaits."""

    frames: list[FrameType]
    awaited: object


def requests_in_flight(runtime: LoopRuntime, limit: int = MAX_REQUESTS) -> dict[str, object]:
    """The application calls that have not ended, the oldest first, `limit` at most; `more` counts the others.

    Each has `id`, `age` (seconds, or None where neither an access log nor counters ask for times), `method`, `path`
    without its query, `client`, `protocol`, `state`, and, where they can be told, `at` (the innermost line of the
    application's own code) and `stack`, the innermost line last.
    """
    calls = runtime.open_calls()
    threads: dict[int, FrameType] | None = None
    found = []
    now = runtime.now()
    for exchange, coroutine in calls[:limit]:
        stack = stack_of(coroutine)
        work = wsgi_call(stack)
        if work is not None:
            if threads is None:
                threads = wsgi_frames()
            frame = threads.get(id(work))
            if frame is not None:
                stack = Stack(list(reversed(list(frames_up_to_call(frame)))), None)
        found.append(description(exchange, stack, now))
    return {"requests": found, "more": max(0, len(calls) - limit)}


def description(exchange: ASGIExchange, stack: Stack, now: float) -> dict[str, object]:
    """One of them."""
    lines = [line_of(frame) for frame in stack.frames[-MAX_FRAMES:]]
    own = next((frame for frame in reversed(stack.frames) if is_own(frame.f_code.co_filename)), None)
    client = exchange.connection.transport.client
    forwarded = exchange.scope.get("client")  # as a trusted proxy has named it
    return {
        "id": f"{id(exchange):x}",
        "age": round(now - exchange.started_at, 3) if exchange.started_at else None,
        "method": exchange.method,
        "path": exchange.raw_path.decode("ascii", "backslashreplace")[:MAX_PATH],
        "client": list(forwarded) if is_address(forwarded) else client,
        "protocol": f"HTTP/{exchange.http_version}" if isinstance(exchange, HTTPExchange) else "WebSocket",
        "state": state_of(exchange, stack),
        "at": line_of(own) if own is not None else lines[-1] if lines else None,
        "stack": lines,
    }


def is_address(value: object) -> TypeGuard[tuple[str, int]]:
    """True for a host and a port, as a scope has them; applications may put anything there."""
    return isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


def state_of(exchange: ASGIExchange, stack: Stack) -> str:
    """What a request waits for."""
    if exchange.gone:
        return GONE
    if exchange.over:
        return ANSWERED
    if not exchange.calling:
        return TURN
    if any(frame.f_code is ThreadedWSGI.wait_for_thread.__code__ for frame in stack.frames):
        return THREAD
    if not exchange.waiters:
        return APPLICATION
    if exchange.must_wait():
        return WAITING
    if isinstance(exchange, HTTPExchange):
        if exchange.request == RECEIVING:
            return READING
        return DISCONNECT if isinstance(stack.awaited, Receive) else APPLICATION
    return MESSAGE


# -- stacks


def stack_of(coroutine: object) -> Stack:
    """Where a coroutine that waits stands. The server's own awaitables end it."""
    frames: list[FrameType] = []
    for _ in range(MAX_DEPTH):
        if coroutine is None or isinstance(coroutine, (Receive, Send)):
            break
        inner = None
        for frame_name, await_name in ATTRIBUTES:
            frame = attribute(coroutine, frame_name)
            if isinstance(frame, FrameType):
                frames.append(frame)
                inner = attribute(coroutine, await_name)
                break
        if inner is None:
            break
        coroutine = inner
    return Stack(frames, coroutine)


def attribute(awaitable: object, name: str) -> object:
    """An attribute of what a task awaits, None where it has none. It may be an application's, and raise anything."""
    try:
        return getattr(awaitable, name, None)
    except Exception:
        return None


def line_of(frame: FrameType) -> str:
    """Where a frame is: `file:line in function`, the file within the working directory by its relative path."""
    code = frame.f_code
    return f"{short_name(code.co_filename)}:{frame.f_lineno} in {getattr(code, 'co_qualname', code.co_name)}"


@lru_cache(maxsize=MAX_FILES)
def short_name(file: str) -> str:
    """The name of a file as it is shown."""
    try:
        folder = os.getcwd() + os.sep
    except OSError:  # it was removed
        return file
    return file[len(folder) :] if file.startswith(folder) else file


@lru_cache(maxsize=MAX_FILES)
def is_own(file: str) -> bool:
    """True for a file of the application: neither of Python's library, nor installed, nor of the server."""
    if file.startswith(("<frozen", PACKAGE)) or any(part in file for part in INSTALLED):
        return False
    return not file.startswith(LIBRARY)


# -- WSGI: the call waits, a thread works


def wsgi_call(stack: Stack) -> WSGICall | None:
    """The call that a thread runs for a WSGI application."""
    for frame in stack.frames:
        if frame.f_code is WSGICall.serve.__code__:
            call = frame.f_locals.get("self")
            return call if isinstance(call, WSGICall) else None
    return None


def wsgi_frames() -> dict[int, FrameType]:
    """The innermost frame of each thread that runs a call of a WSGI application, by the call's identity."""
    found = {}
    for innermost in sys._current_frames().values():
        frame: FrameType | None = innermost
        while frame is not None:
            if frame.f_code is WSGICall.run_in_thread.__code__:
                found[id(frame.f_locals["self"])] = innermost
                break
            frame = frame.f_back
    return found


def frames_up_to_call(frame: FrameType | None) -> Iterator[FrameType]:
    """The frames of a thread from its innermost to where the server calls the application."""
    while frame is not None and frame.f_code is not WSGICall.run_in_thread.__code__:
        yield frame
        frame = frame.f_back
