"""What an idle server costs (N6, N43): memory for each connection, and no wake-ups. Measured in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.peer import Peer
from tests.support.websocket import LiveWebSocket

import hypercorn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = 1000


class Child:
    """A server in a process of its own, which answers questions about itself."""

    def __init__(self, backend: str, driver: str) -> None:
        program = [sys.executable, "-m", "tests.runtime.idle_server", backend, driver]
        self.process = subprocess.Popen(
            program, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
        )
        self.port = self.answer()

    def answer(self) -> int:
        """A number that it says."""
        assert self.process.stdout is not None
        return int(self.process.stdout.readline())

    def ask(self, what: str) -> int:
        """`memory` (bytes) or `switches` (how often the server's thread has slept and woken)."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate("end\n", timeout=20)
        assert self.process.returncode == 0


def environment() -> dict[str, str]:
    """The environment, with the paths of this process."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}


def open_idle(port: int, count: int) -> list[Peer]:
    """Connections that have been served once, and wait."""
    peers = []
    for _ in range(count):
        peer = Peer(("127.0.0.1", port))
        assert peer.get().body == b"hello"
        peers.append(peer)
    return peers


@pytest.fixture
def descriptors() -> Iterator[None]:
    """Enough descriptors for all connections."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("the system allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(hypercorn.build() != "compiled", reason="the figure is that of the compiled build")
@pytest.mark.usefixtures("descriptors")
def test_memory_of_an_idle_connection(backend: str) -> None:
    """A keep-alive connection that waits costs at most 8 KiB of the process's memory."""
    with Child(backend, "auto") as child:
        for peer in open_idle(child.port, 200):  # caches fill, and the allocator settles
            peer.close()
        before = child.ask("memory")
        peers = open_idle(child.port, CONNECTIONS)
        cost = (child.ask("memory") - before) / CONNECTIONS
        for peer in peers:
            peer.close()
    assert cost <= 8192, f"{cost:.0f} bytes"


@pytest.mark.skipif(hypercorn.build() != "compiled", reason="the figure is that of the compiled build")
@pytest.mark.usefixtures("descriptors")
@pytest.mark.parametrize(("offer", "most"), [((), 8192), (("sec-websocket-extensions: permessage-deflate",), 12288)])
def test_memory_of_an_idle_websocket(backend: str, offer: tuple[str, ...], most: int) -> None:
    """A WebSocket that says nothing costs at most 8 KiB, and 12 where compression was agreed on and not used. Frames
    and tasks of Pythons before 3.12 are larger."""

    def opened(port: int, count: int) -> list[LiveWebSocket]:
        sockets = [LiveWebSocket(Peer(("127.0.0.1", port)), *offer) for _ in range(count)]
        assert {each.status for each in sockets} == {101}
        return sockets

    with Child(backend, "auto") as child:
        sockets = opened(child.port, 200)  # caches fill, and the allocator settles
        before = child.ask("memory")
        more = opened(child.port, CONNECTIONS)
        cost = (child.ask("memory") - before) / CONNECTIONS
        for each in sockets + more:
            each.peer.close()
    assert cost <= (most if sys.version_info >= (3, 12) else most * 3 // 2), f"{cost:.0f} bytes"


def test_no_wake_ups_while_idle(backend: str, driver: str) -> None:
    """With connections open and nothing to do, the server's thread sleeps until a deadline."""
    with Child(backend, driver) as child:
        peers = open_idle(child.port, 20)
        time.sleep(0.2)
        before = child.ask("switches")
        time.sleep(0.5)
        woken = child.ask("switches") - before
        for peer in peers:
            peer.close()
    assert woken <= 2, f"woke {woken} times in half a second"
