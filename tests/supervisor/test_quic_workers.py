"""HTTP/3 with several worker processes: every packet reaches the worker whose connection it is."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.runtime.test_tls import Certificates, certificates
from tests.supervisor.servers import WAIT, Server
from tests.support.http3 import LiveClient, request
from tests.support.live import eventually

__all__ = ("certificates",)  # a fixture
pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="workers on Windows share no datagrams")
CLIENTS = 4


@pytest.fixture
def start(certificates: Certificates) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*arguments: str, **options: Any) -> Server:
        files = ("--certfile", certificates.certfile, "--keyfile", certificates.keyfile)
        server = Server(*files, "--http3", *arguments, HYPERCORN_IDLE_GRACE="1", **options)
        server.__enter__()
        started.append(server)
        return server

    yield start
    for server in started:
        server.__exit__()


def connect(server: Server) -> LiveClient:
    client = LiveClient(server.address()[1]).start()
    assert client.closed is None, client.closed
    return client


def pid(client: LiveClient) -> int:
    """The worker that answers a request."""
    answer = client.ask(request(b"/"))
    assert answer.status == 200
    return int(answer.body)


def move(client: LiveClient) -> None:
    """The client goes on from another port: the kernel may give its packets to another worker."""
    client.wire.sock.close()
    client.wire.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.quic.change_connection_id()


@pytest.mark.parametrize(
    "loop",
    ["asyncio", pytest.param("uvloop", marks=pytest.mark.slow), pytest.param("trio", marks=pytest.mark.slow)],
)
def test_h3_06_q_p_16_connections_stay_with_their_worker_wherever_they_move(
    start: Callable[..., Server], loop: str
) -> None:
    server = start("--workers", "3", "--worker-class", loop)
    clients = [connect(server) for _ in range(CLIENTS)]
    owners = [pid(client) for client in clients]
    for _ in range(2):
        for client, owner in zip(clients, owners, strict=True):
            move(client)
            assert pid(client) == owner
    for client in clients:
        client.close()


def test_h3_06_connections_outlive_the_start_of_their_workers_successors(start: Callable[..., Server]) -> None:
    server = start("--workers", "2")
    old = [connect(server) for _ in range(3)]
    owners = {pid(client) for client in old}
    before = server.workers()
    server.process.send_signal(signal.SIGHUP)
    fresh: set[int] = set()

    def replaced() -> bool:
        client = connect(server)  # at every moment somebody takes new connections
        fresh.add(pid(client))
        client.close()
        for waiting in old:  # that read late would take the delay for the path's, and wait long for the end
            moment = waiting.wire.now() + 0.01
            waiting.wire.settle(lambda wire=waiting.wire, moment=moment: wire.now() >= moment)
        return server.workers().isdisjoint(before)

    eventually(replaced, WAIT)
    assert fresh - before
    for client in old:
        client.wire.settle(lambda client=client: client.closed, WAIT)
        assert client.closed is not None
        assert client.closed.error_code == 0x100
        client.wire.sock.close()
    assert owners <= before
