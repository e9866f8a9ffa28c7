"""The reactor on no loop at all: turns taken by hand, over real sockets."""

from __future__ import annotations

import os
import resource
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.peer import readable

from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.ports import Connection, Context, Transport
from hypercorn.protocol.records import Records
from hypercorn.protocol.response_fields import ResponseFields
from hypercorn.protocol.runtime import Runtime
from hypercorn.runtime.reactor import POLLER, Reactor

sends_files = pytest.mark.skipif(POLLER != "epoll", reason="the kernel sends files for the reactor on Linux alone")


class HandRuntime(Runtime):
    """Time and callbacks moved by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.soon: list[Callable[[], object]] = []
        self.later: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return self.time

    def call_soon(self, callback: Callable[[], object]) -> None:
        self.soon.append(callback)

    def call_at(self, when: float, callback: Callable[[], object]) -> Any:
        self.later.append((when, callback))
        return SimpleNamespace(cancel=lambda: None)


class Told(Connection):
    """A connection that keeps what it is told, and does what the test says."""

    def __init__(self, transport: Transport, context: Context) -> None:
        super().__init__(transport, context)
        self.events: list[Any] = []
        self.on_data: Callable[[Told, bytes], None] = lambda connection, data: None

    def data_received(self, data: bytes) -> None:
        self.events.append(data)
        self.on_data(self, data)

    def eof_received(self) -> None:
        self.events.append("eof")

    def connection_lost(self) -> None:
        self.events.append("lost")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        self.events.append("resume")

    def turn_ended(self) -> None:
        pass

    @property
    def data(self) -> bytes:
        return b"".join(event for event in self.events if isinstance(event, bytes))


class Stand:
    """A reactor, its listener, and what a worker would be."""

    def __init__(self) -> None:
        self.runtime = HandRuntime()
        self.errors: list[str] = []
        log = SimpleNamespace(log_error=lambda message, *args, **_: self.errors.append(message % args))
        self.reactor = Reactor(self.runtime, log)
        self.context = Context(self.runtime, Limits(limits_of(Config())), ResponseFields(), Records(None))
        self.config = SimpleNamespace(write_buffer_size=65536)
        self.connections: list[Told] = []
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(100)
        self.listener = self.reactor.listen(self, self.sock, None)  # type: ignore[arg-type]
        self.peers: list[socket.socket] = []

    # what the reactor asks of a worker

    def connected(self, transport: Transport, tls: Any) -> None:
        connection = Told(transport, self.context)
        transport.connection = connection
        self.connections.append(connection)

    def disconnected(self, connection: Connection) -> None:
        connection.connection_lost()

    # what the test does

    def connect(self, **options: int) -> tuple[socket.socket, Told]:
        peer = socket.socket()
        for name, value in options.items():
            peer.setsockopt(socket.SOL_SOCKET, getattr(socket, name), value)
        peer.connect(self.sock.getsockname())
        peer.settimeout(5)
        self.peers.append(peer)
        count = len(self.connections)
        self.turn_until(lambda: len(self.connections) > count)
        return peer, self.connections[-1]

    def turn(self) -> None:
        self.reactor.turn()
        soon, self.runtime.soon = self.runtime.soon, []
        for callback in soon:
            callback()

    def turn_until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 5
        while not condition():
            assert time.monotonic() < end, "it did not come about"
            self.turn()

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.listener.close()
        self.reactor.close()
        self.sock.close()


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    yield stand
    stand.close()


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            break
        data += piece
    return data


def test_bytes_come_in_and_leave_when_the_turn_ends(stand: Stand) -> None:
    peer, connection = stand.connect()
    connection.on_data = lambda c, data: (c.transport.write(b"a" + data), c.transport.write(b"b"))
    peer.sendall(b"1")
    stand.turn_until(lambda: connection.events)
    assert read(peer, 3) == b"a1b"


def test_addresses(stand: Stand) -> None:
    peer, connection = stand.connect()
    assert connection.transport.client == peer.getsockname()
    assert connection.transport.server == stand.sock.getsockname()


def test_a_peer_that_is_gone_before_it_is_accepted(stand: Stand) -> None:
    peer = socket.create_connection(stand.sock.getsockname())
    reset(peer)
    stand.turn_until(lambda: stand.connections and "lost" in stand.connections[0].events)
    assert stand.errors == []


def test_no_delay_is_set(stand: Stand) -> None:
    _, connection = stand.connect()
    with socket.socket(fileno=os.dup(connection.transport.get_extra_info("fd"))) as sock:
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_the_kernel_refuses_is_sent_later_in_order(stand: Stand) -> None:
    peer, connection = stand.connect(SO_RCVBUF=4096)
    pieces = [bytes([i % 251]) * 70_001 for i in range(60)]
    for piece in pieces:
        connection.transport.write(piece)
    connection.transport.flush()
    assert connection.transport.unsent() > 0
    assert connection.events.count("pause") == 1
    received = b""
    total = sum(map(len, pieces))
    while len(received) < total:
        received += peer.recv(1 << 20)
        stand.turn()
    assert received == b"".join(pieces)
    assert connection.transport.unsent() == 0
    assert connection.events.count("resume") == 1


def test_close_sends_what_is_left_first(stand: Stand) -> None:
    peer, connection = stand.connect(SO_RCVBUF=4096)
    data = os.urandom(8_000_000)
    connection.transport.write(data)
    connection.transport.close()
    assert "lost" not in connection.events
    received = b""
    while len(received) < len(data):
        received += peer.recv(1 << 20)
        stand.turn()
    assert received == data
    stand.turn_until(lambda: "lost" in connection.events)
    assert peer.recv(1) == b""


def test_half_close_after_what_is_left(stand: Stand) -> None:
    peer, connection = stand.connect()
    connection.transport.write(b"last words")
    connection.transport.write_eof()
    assert read(peer, 10) == b"last words"
    assert peer.recv(1) == b""
    peer.sendall(b"still here")
    stand.turn_until(lambda: connection.data == b"still here")


def test_the_end_of_the_peer_s_half_is_told_once(stand: Stand) -> None:
    peer, connection = stand.connect()
    peer.sendall(b"x")
    peer.shutdown(socket.SHUT_WR)
    stand.turn_until(lambda: "eof" in connection.events)
    for _ in range(5):
        stand.turn()
    assert connection.events == [b"x", "eof"]
    connection.transport.write(b"answer")
    connection.transport.flush()
    assert read(peer, 6) == b"answer"


def test_a_reset_after_the_end_is_noticed(stand: Stand) -> None:
    peer, connection = stand.connect()
    peer.shutdown(socket.SHUT_WR)
    stand.turn_until(lambda: "eof" in connection.events)
    reset(peer)
    stand.turn_until(lambda: "lost" in connection.events)


def test_a_reset_is_noticed_while_reading_is_paused(stand: Stand) -> None:
    peer, connection = stand.connect()
    connection.transport.pause_reading()
    peer.sendall(b"unread")
    for _ in range(3):
        stand.turn()
    assert connection.events == []
    reset(peer)
    stand.turn_until(lambda: "lost" in connection.events)


def test_pause_and_resume_reading(stand: Stand) -> None:
    peer, connection = stand.connect()
    connection.transport.pause_reading()
    peer.sendall(b"wait")
    for _ in range(3):
        stand.turn()
    assert connection.events == []
    connection.transport.resume_reading()
    stand.turn_until(lambda: connection.data == b"wait")


def test_a_socket_closed_by_another_s_handler_in_the_same_turn(stand: Stand) -> None:
    one, first = stand.connect()
    two, second = stand.connect()
    first.on_data = lambda c, data: second.transport.abort()
    second.on_data = lambda c, data: first.transport.abort()
    one.sendall(b"x")
    two.sendall(b"x")
    time.sleep(0.05)
    stand.turn()
    assert sorted(len(connection.data) for connection in (first, second)) == [0, 1]
    stand.turn_until(lambda: "lost" in first.events + second.events)


def test_a_turn_reads_a_bounded_number_of_bytes(stand: Stand) -> None:
    peer, connection = stand.connect()
    peer.setblocking(False)
    sent = 0
    try:
        while True:
            sent += peer.send(b"x" * 100_000)
    except BlockingIOError:
        pass
    time.sleep(0.05)
    while len(connection.data) < sent:
        before = len(connection.data)
        stand.turn()
        assert len(connection.data) - before <= 262144
    assert len(connection.data) == sent


def test_an_error_in_a_handler_ends_its_connection_alone(stand: Stand) -> None:
    one, first = stand.connect()
    two, second = stand.connect()

    def fail(connection: Told, data: bytes) -> None:
        raise KeyError("broken")

    first.on_data = fail
    one.sendall(b"x")
    two.sendall(b"y")
    stand.turn_until(lambda: "lost" in first.events and second.events)
    assert second.events == [b"y"]
    assert len(stand.errors) == 1


def test_one_wake_up_takes_every_ready_socket(stand: Stand) -> None:
    pairs = [stand.connect() for _ in range(50)]
    for peer, _ in pairs:
        peer.sendall(b"x")
    time.sleep(0.1)
    stand.turn()
    assert all(connection.data == b"x" for _, connection in pairs)


@sends_files
def test_a_truncated_file_ends_the_connection(stand: Stand, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    peer, connection = stand.connect()
    with path.open("rb") as file:
        assert connection.transport.send_file(file.fileno(), 0, 5000)
    assert read(peer, 1000) == b"x" * 1000
    stand.turn_until(lambda: "lost" in connection.events)
    assert peer.recv(1) == b""


@sends_files
def test_a_file_that_no_descriptor_is_left_for(stand: Stand, tmp_path: Path) -> None:
    """The error is the caller's, and no descriptor of somebody else is closed for it."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1000)
    _, connection = stand.connect()
    known = sorted(os.listdir("/dev/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with path.open("rb") as file:
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            with pytest.raises(OSError, match=r"Too many|Invalid"):
                connection.transport.send_file(file.fileno(), 0, 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert sorted(os.listdir("/dev/fd")) == known


def test_accepting_pauses_when_descriptors_run_out(stand: Stand) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    waiting = socket.socket()
    waiting.connect(stand.sock.getsockname())
    highest = (
        max(int(name) for name in os.listdir("/proc/self/fd") if name.isdigit()) if sys.platform == "linux" else 64
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, highest + 1), hard))
    fillers = []
    try:
        while True:
            try:
                fillers.append(os.dup(0))
            except OSError:  # EMFILE
                break
        stand.turn()
        assert len(stand.errors) == 1
        assert len(stand.runtime.later) == 1
        for _ in range(5):  # no busy loop: the listener is not watched meanwhile
            stand.turn()
        assert len(stand.errors) == 1
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    _, go_on = stand.runtime.later[0]
    go_on()
    stand.turn_until(lambda: stand.connections)
    waiting.close()


IDLE = textwrap.dedent(
    """
    import asyncio, os, socket, sys, time
    backend = sys.argv[1]
    import threading
    sys.path.insert(0, sys.argv[2])
    from tests.support.live import Live, hello
    live = Live(hello, backend, runtime="reactor", keep_alive_timeout=3600.0)
    peers = [live.connect() for _ in range(300)]
    for peer in peers:
        peer.get("/")

    def switches():
        with open(f"/proc/self/task/{live.thread.native_id}/status") as status:
            return [int(line.split()[1]) for line in status if line.startswith("voluntary")][0]

    time.sleep(0.5)
    before = switches()
    time.sleep(2.5)
    print(switches() - before)
    for peer in peers:
        peer.close()
    live.stop()
    """
)


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="the system does not count wake-ups")
def test_nothing_wakes_up_while_connections_are_idle(backend: str) -> None:
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-c", IDLE, backend, root], capture_output=True, text=True, timeout=60, check=True
    )
    assert int(done.stdout) == 0


def test_a_closed_socket_that_somebody_else_still_has_is_not_watched(stand: Stand) -> None:
    """As after a fork, until the child becomes another program: the transport may be gone, so no event may name it."""
    peer, connection = stand.connect()
    copy = os.dup(connection.transport.get_extra_info("fd"))
    try:
        connection.transport.abort()
        stand.turn_until(lambda: "lost" in connection.events)
        peer.sendall(b"more")
        assert readable(copy, 5)
        assert not readable(stand.reactor.fd, 0)
    finally:
        os.close(copy)


def test_output_of_one_turn_leaves_in_it(stand: Stand) -> None:
    """However many sockets are served in it."""
    pairs = [stand.connect() for _ in range(70)]
    for peer, connection in pairs:
        connection.on_data = lambda c, data: c.transport.write(data.upper())
        peer.sendall(b"abc")
    stand.turn_until(lambda: all(connection.events for _, connection in pairs))
    for peer, _ in pairs:
        peer.setblocking(False)
        assert peer.recv(10) == b"ABC"
