"""TLS handshakes take turns: what one round of the loop does of them, and that all of a crowd complete."""

from __future__ import annotations

import ssl
import threading
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from tests.runtime.test_tls import certificates, client, serve_tls
from tests.support.live import eventually, hello

from hypercorn.protocol.turns import TURN_SECONDS
from hypercorn.runtime import handshakes
from hypercorn.runtime.handshakes import Handshakes
from hypercorn.runtime.memory import MemoryRuntime

__all__ = ("certificates", "client", "serve_tls")  # fixtures


class Client:
    """A handshake that takes a known time, and keeps when it went on and what its socket was told."""

    def __init__(self, runtime: MemoryRuntime, seconds: float = 0.0) -> None:
        self.runtime = runtime
        self.seconds = seconds
        self.told: list[str] = []
        self.transport: Any = SimpleNamespace(
            pause_reading=lambda: self.told.append("pause"), resume_reading=lambda: self.told.append("resume")
        )

    def shake_hands(self) -> None:
        self.told.append("step")
        self.runtime.time += self.seconds


def one_round(runtime: MemoryRuntime) -> None:
    """What was scheduled by now."""
    for _ in range(len(runtime.ready)):
        runtime.ready.popleft()()


def test_a_single_handshake_does_not_wait() -> None:
    runtime = MemoryRuntime()
    alone = Client(runtime, TURN_SECONDS * 10)
    Handshakes(runtime).go_on(alone)
    assert alone.told == ["step"]


def test_what_exceeds_a_round_goes_on_in_the_next_ones_in_its_order() -> None:
    runtime = MemoryRuntime()
    turns = Handshakes(runtime)
    clients = [Client(runtime, TURN_SECONDS / 3) for _ in range(10)]
    for one in clients:
        turns.go_on(one)
    rounds = [sum("step" in one.told for one in clients)]
    while runtime.ready:
        one_round(runtime)
        done = ["step" in one.told for one in clients]
        assert done == sorted(done, reverse=True)
        rounds.append(sum(done))
    assert rounds[-1] == 10
    assert max(now - then for then, now in pairwise([0, *rounds])) <= 4
    assert [one.told for one in clients[4:]] == [["pause", "resume", "step"]] * 6
    assert not turns.scheduled  # nothing runs where there are no handshakes


def test_one_goes_on_in_each_round_however_long_it_takes() -> None:
    runtime = MemoryRuntime()
    turns = Handshakes(runtime)
    clients = [Client(runtime, TURN_SECONDS * 3) for _ in range(4)]
    for one in clients:
        turns.go_on(one)
    for number in range(2, 5):
        one_round(runtime)
        assert sum("step" in one.told for one in clients) == number


def test_who_comes_later_does_not_overtake() -> None:
    runtime = MemoryRuntime()
    turns = Handshakes(runtime)
    first, second, third = (Client(runtime, TURN_SECONDS * 2) for _ in range(3))
    turns.go_on(first)
    turns.go_on(second)
    turns.left = TURN_SECONDS
    turns.go_on(third)
    assert third.told == ["pause"]


@pytest.mark.live
def test_all_of_a_crowd_complete(serve_tls: Any, client: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step waits for a round of its own, and the request that comes with the last one is served."""
    monkeypatch.setattr(handshakes, "TURN_SECONDS", 0.0)
    live = serve_tls(hello)
    bodies: list[bytes] = []

    def visit() -> None:
        with live.connect(tls=client) as peer:
            bodies.append(peer.get().body)

    threads = [threading.Thread(target=visit) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bodies == [b"hello"] * 20
    assert live.errors() == []


@pytest.mark.live
def test_one_that_waits_may_fail_or_leave(serve_tls: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is up, or its client is gone, before it has its turn: nothing comes of it then."""
    waiting: list[Any] = []
    monkeypatch.setattr(Handshakes, "go_on", lambda self, connection: waiting.append(connection))
    live = serve_tls(hello, ssl_handshake_timeout=0.2)
    with live.connect() as peer:
        peer.send(bytes.fromhex("160301") + b"\x00\x05hello")
        assert peer.ended()
    with live.connect() as peer:
        peer.send(bytes.fromhex("160301") + b"\x00\x05hello")
    assert eventually(lambda: len(waiting) == 2 and waiting[1].incoming is None)
    before = live.errors()  # the first handshake timed out
    for connection in waiting:
        live.on_loop(connection.shake_hands)
    assert live.errors() == before
