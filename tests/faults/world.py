"""One server that speaks everything, and a client of every protocol beside whoever fails."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any

import trustme
from tests.faults.carriers import CARRIERS, KINDS
from tests.faults.injection import APP_ERRORS, leaked_cancellation
from tests.support.live import Live, body_of, eventually, in_trio, pause, respond

PIECE = bytes(131072)


async def drained(receive: Any) -> bool:
    """Reads the body. False where the client is gone."""
    with suppress(ConnectionError):
        await body_of(receive)
        return True
    return False


async def app_error(kind: str) -> BaseException:
    """The error that a path names."""
    if kind == "CancelledError" and in_trio():
        return await leaked_cancellation()
    return APP_ERRORS[kind]()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/ok answers, /large takes and gives much, /fault/WHEN/ERROR raises."""
    _, what, when, kind = (*scope["path"].split("/"), "", "")[:4]
    error = await app_error(kind) if what == "fault" else None
    if scope["type"] == "websocket":
        await websocket(receive, send, when, error)
        return
    if error is None:
        if what == "large":
            await pause(0.002)
            await drained(receive)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(48):
                await send({"type": "http.response.body", "body": PIECE, "more_body": True})
            await send({"type": "http.response.body"})
        else:
            if await drained(receive):
                await respond(send, b"fine")
        return
    if when == "later":
        await pause(0.001)
    elif when == "receive":
        await receive()
    elif when in ("started", "part", "after"):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if when != "started":
            await send({"type": "http.response.body", "body": b"some", "more_body": when == "part"})
    elif when == "cancelled" and not in_trio():
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await pause(0)
    raise error


async def websocket(receive: Any, send: Any, when: str, error: BaseException | None) -> None:
    """An echo; raises before the handshake's answer, after it, or after the first message."""
    await receive()
    if when in ("before", "later", "receive"):
        if when == "later":
            await pause(0.001)
        assert error is not None
        raise error
    await send({"type": "websocket.accept"})
    if when == "started":
        assert error is not None
        raise error
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            if when == "after":
                assert error is not None
                raise error
            return
        if when == "part":
            assert error is not None
            raise error
        await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})


def certificate(folder: Path) -> tuple[dict[str, str], Any]:
    """The server's files, and the authority that signed them."""
    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    with open(folder / "cert.pem", "wb") as file:
        for blob in issued.cert_chain_pems:
            file.write(blob.bytes())
    return {"certfile": str(folder / "cert.pem"), "keyfile": str(folder / "key.pem")}, authority


class Clients:
    """Makes clients of a server whose ports are known."""

    def __init__(self, authority: Any, ports: dict[str, int]) -> None:
        self.ports = ports  # "plain" and "tls", the latter for QUIC too
        self.contexts: dict[str, ssl.SSLContext] = {}
        for protocol in ("http/1.1", "h2"):
            context = ssl.create_default_context()
            authority.configure_trust(context)
            context.set_alpn_protocols([protocol])
            self.contexts[protocol] = context
        self.bystanders: dict[str, Any] = {}

    def new(self, carrier: str) -> Any:
        """A client of this kind, which has sent nothing yet."""
        kind, tls, _ = carrier.partition("-tls")
        if kind.endswith("h3"):
            return KINDS[kind](self.ports["tls"])
        if not tls:
            return KINDS[kind](self.ports["plain"])
        return KINDS[kind](self.ports["tls"], self.contexts["h2" if kind.endswith("h2") else "http/1.1"])

    def check(self, *carriers: str) -> None:
        """The bystanders of these kinds are served on, on connections that were open all the time."""
        for carrier in carriers or CARRIERS:
            if carrier not in self.bystanders:
                self.bystanders[carrier] = self.new(carrier)
            self.bystanders[carrier].go()

    def close(self) -> None:
        for client in self.bystanders.values():
            client.leave()


class World(Clients):
    """A server in this process, and its clients."""

    def __init__(self, backend: str, driver: str, folder: Path) -> None:
        files, authority = certificate(folder)
        self.backend = backend
        self.driver = driver
        self.live = Live(
            app,
            backend,
            runtime=driver,
            lifespan="off",
            http3=True,
            insecure_bind=["127.0.0.1:0"],
            keep_alive_timeout=3600,
            keep_alive_max_requests=10**9,
            header_timeout=60,
            body_timeout=60,
            quic_idle_timeout=3600,
            h2_ping_interval=3600,
            linger_timeout=0.2,
            websocket_close_timeout=0.2,
            websocket_ping_interval=3600,
            **files,
        )
        ports = {url.partition(":")[0]: int(url.rpartition(":")[2]) for url in self.live.addresses}
        super().__init__(authority, {"plain": ports["http"], "tls": ports["https"]})
        self.check()
        self.open = self.connections()

    @property
    def worker(self) -> Any:
        return self.live.running._worker

    def connections(self) -> int:
        """Connections that the server knows, a session of TLS and what it carries as two."""
        return int(self.live.on_loop(lambda: len(self.worker.deadlines.connections)))

    def expire(self, port: int) -> None:
        """Lets the time of this client's connections be up."""

        def known() -> list[Any]:
            connections = self.worker.deadlines.connections
            return [one for one in connections if one.transport.client and one.transport.client[1] == port]

        def expire() -> bool:
            waiting = [one for one in known() if one.deadline]
            for one in waiting:
                one.deadline = 0.001
            self.worker.deadlines.sweep()
            return bool(waiting)

        eventually(lambda: self.live.on_loop(expire))

    def settled(self) -> None:
        """Nothing is left of whoever failed."""
        left = (0, 0)

        def settled() -> bool:
            nonlocal left
            left = self.connections(), int(self.live.on_loop(self.worker.runtime.active_calls))
            return left == (self.open, self.calls)

        try:
            eventually(settled)
        except AssertionError:
            wanted = self.open, self.calls
            self.open = left[0]  # so that the tests to come are judged by their own
            raise AssertionError(f"{left} connections and calls are left, not {wanted}") from None

    @property
    def calls(self) -> int:
        """Calls that go on: those of the bystanders' WebSockets."""
        return sum(carrier.startswith("ws") for carrier in self.bystanders)

    def close(self) -> None:
        super().close()
        self.live.stop()
