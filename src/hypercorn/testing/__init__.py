r"""Servers for tests: over a socket, and in memory.

    from hypercorn.testing import TestServer

    with TestServer(app) as url:  # or `async with`, on the running loop
        assert httpx.get(url).text == "hello"

In memory a test drives a connection with bytes and a clock moved by hand, on no event loop.

    from hypercorn.testing import connect

    client = connect(app)
    client.send(b"GET / HTTP/1.1\r\nhost: example\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    client.advance(5.0)  # seconds; nothing sleeps
    assert client.closed

`hypercorn.testing.clients` speaks HTTP/1.1, HTTP/2 and WebSocket to either, by other people's libraries.

The connection, the stream and the deadlines are the ones that serve; only the socket and the loop are
replaced. Every call on a client returns when all tasks wait, so a test needs no polling. An application under
test awaits `receive()`, `send()`, and from here `sleep`, `Event` and tasks of `start_task`.
"""

from __future__ import annotations

from hypercorn.runtime.memory import Cancelled, Event, Task, sleep, start_task
from hypercorn.testing.memory import Client, MemoryServer, connect
from hypercorn.testing.server import TestServer

__all__ = (
    "Cancelled",
    "Client",
    "Event",
    "MemoryServer",
    "Task",
    "TestServer",
    "connect",
    "sleep",
    "start_task",
)
