"""Faults of the socket itself, put into the transport: one connection ends, the rest go on, nothing is shouted (N1)."""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest
from tests.runtime.test_sockets import connections_of
from tests.support.live import Live, eventually, hello, pause, respond
from tests.support.peer import request

ERRORS = {
    "EHOSTUNREACH": OSError(errno.EHOSTUNREACH, os.strerror(errno.EHOSTUNREACH)),
    "ENETUNREACH": OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH)),
    "ETIMEDOUT": TimeoutError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT)),
    "ECONNABORTED": ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED)),
    "SSLError": ssl.SSLError(1, "[SSL: BAD] bad"),
}


class FaultySocket(socket.socket):
    """A socket on which one operation fails, once `fault` is set for it."""

    faults: dict[str, BaseException] = {}

    def check(self, name: str) -> None:
        if name in self.faults:
            raise self.faults[name]

    def send(self, *args: Any) -> int:
        self.check("send")
        return super().send(*args)

    def recv(self, *args: Any) -> bytes:
        self.check("recv")
        return super().recv(*args)

    def shutdown(self, how: int) -> None:
        self.check("shutdown")
        super().shutdown(how)

    def close(self) -> None:
        super().close()
        self.check("close")


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes every accepted socket a faulty one; gives the dict of what fails."""
    FaultySocket.faults = {}
    accept = socket.socket.accept

    def accept_faulty(self: socket.socket) -> Any:
        sock, address = accept(self)
        return FaultySocket(sock.family, sock.type, sock.proto, sock.detach()), address

    monkeypatch.setattr(socket.socket, "accept", accept_faulty)
    yield FaultySocket.faults
    FaultySocket.faults = {}


@pytest.fixture(params=["asyncio", "trio"])
def python_loop(request: pytest.FixtureRequest) -> str:
    """The loops whose sockets are Python objects; uvloop and the reactor speak to the system themselves."""
    return str(request.param)


@pytest.mark.parametrize("operation", ["send", "recv", "shutdown"])
@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_an_operation_fails(python_loop: str, faulty: Any, operation: str, error: BaseException) -> None:
    """H1-28 and its kin."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/large":
            await respond(send, b"x" * 3_000_000)
        else:
            await pause(0.001)
            await respond(send)

    with Live(app, python_loop, lifespan="off", runtime="loop") as live:
        bystander = live.connect()
        bystander.get()
        for target in ("/", "/large"):
            peer = live.connect()
            assert peer.get().body == b"ok"
            faulty[operation] = error
            peer.send(b"POST " + target.encode() + b" HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
            if operation == "shutdown":
                peer.send(b"nonsense\r\n\r\n")
            else:
                assert peer.ended()
                eventually(lambda: connections_of(live) == 1)
            faulty.clear()
            peer.close()
            eventually(lambda: connections_of(live) == 1)
        assert bystander.get().body == b"ok"
        assert live.errors() == []


def test_asyncio_does_not_warn_of_writes_to_a_lost_socket(serve_app: Any, caplog: pytest.LogCaptureFixture) -> None:
    """asyncio logs "socket.send() raised exception." once a program has written five times to a dead socket."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(200):
            try:
                await send({"type": "http.response.body", "body": b"x" * 100, "more_body": True})
            except OSError:
                pass
            await pause(0.001)

    live = serve_app(app, lifespan="off")
    peer = live.connect()
    peer.send(request())
    peer.until(b"xxx")
    peer.reset()
    eventually(lambda: connections_of(live) == 0)
    eventually(lambda: not live.on_loop(lambda: live.running._worker.runtime.active_calls()))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_running_out_of_descriptors(serve_app: Any) -> None:
    """No descriptor for a new connection: those that are open go on, and later ones are served."""
    resource = pytest.importorskip("resource")
    live = serve_app(hello, backlog=60, keep_alive_timeout=60)  # connecting may take long: the backlog may be full
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with live.connect() as peer:
        peer.get()
        spare = [socket.socket() for _ in range(60)]
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        for sock in spare:
            sock.close()
        clients = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest - 20, hard))
        try:
            with suppress(OSError):
                while True:
                    sock = socket.socket()
                    clients.append(sock)
                    sock.connect(("127.0.0.1", live.port))
            assert peer.get().body == b"hello"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for sock in clients:
            sock.close()
        assert peer.get().body == b"hello"
    with live.connect() as peer:
        assert peer.get().body == b"hello"
    assert len(live.errors()) < 200  # asyncio's own loop reports one for each place in its queue, once a second
