"""Exchanges of one turn of the reactor begin together, after its reads, and their answers leave after that."""

from __future__ import annotations

import gc
import socket
import time
from collections.abc import Callable
from functools import partial

import pytest
from tests.runtime.test_reactor import Stand, Told, read, stand
from tests.support.peer import readable

from hypercorn.protocol.ports import Exchange
from hypercorn.protocol.turns import QUICK_STEPS

__all__ = ["stand"]


class Beginning(Exchange):
    """An exchange that does what the test says when it begins."""

    def __init__(self, begin: Callable[[], object]) -> None:
        self.on_begin = begin

    def begin(self) -> None:
        self.on_begin()


def connect(stand: Stand, *actions: Callable[[], object]) -> list[tuple[socket.socket, Told]]:
    """As many connections; each begins an exchange for its bytes, which does its action and then answers."""
    pairs = [stand.connect() for _ in actions]
    for action, (_, connection) in zip(actions, pairs, strict=True):

        def on_data(connection: Told, data: bytes, action: Callable[[], object] = action) -> None:
            def begin() -> None:
                action()
                connection.transport.write(b"answer")

            if not connection.transport.begin_in_batch(Beginning(begin)):
                connection.events.append("alone")
                begin()

        connection.on_data = on_data
    return pairs


def serve(stand: Stand, *actions: Callable[[], object], data: bytes = b"q") -> list[tuple[socket.socket, Told]]:
    """Such connections, whose bytes have come before the turn."""
    pairs = connect(stand, *actions)
    for peer, _ in pairs:
        peer.sendall(data)
    assert readable(stand.reactor.fd, 5), "nothing came"
    time.sleep(0.05)  # over loopback all of it is there by now
    return pairs


def answered(peer: socket.socket) -> bool:
    return readable(peer, 0.05)


def test_all_is_read_before_the_first_begins(stand: Stand) -> None:
    seen: list[int] = []

    def look() -> None:
        seen.append(sum(b"q" in c.events for c in stand.connections))

    pairs = serve(stand, look, look, look)
    stand.turn()
    assert seen == [3, 3, 3]
    assert all(read(peer, 6) == b"answer" for peer, _ in pairs)


def test_no_answer_leaves_before_the_last_has_begun(stand: Stand) -> None:
    before: list[list[bool]] = []
    pairs: list[tuple[socket.socket, Told]] = []

    def look() -> None:
        before.append([readable(peer, 0) for peer, _ in pairs])

    stand.runtime.quick_steps = QUICK_STEPS
    pairs += serve(stand, lambda: None, look)
    stand.turn()
    assert before == [[False, False]]
    assert all(answered(peer) for peer, _ in pairs)


def test_an_answer_leaves_first_where_steps_are_not_known_to_be_short(stand: Stand) -> None:
    before: list[list[bool]] = []
    pairs: list[tuple[socket.socket, Told]] = []

    def look() -> None:
        before.append([readable(peer, 0.05) for peer, _ in pairs])

    pairs += serve(stand, lambda: None, look)
    stand.turn()
    assert before == [[True, False]]


def test_a_turn_is_bounded_in_time(stand: Stand) -> None:
    """What the steps of applications leave no time for begins in the next turn, in its order."""
    order: list[int] = []

    def step(number: int) -> None:
        order.append(number)
        time.sleep(0.002)
        stand.runtime.step_ended_at = time.monotonic()

    pairs = serve(stand, *(partial(step, number) for number in range(12)))
    counts = []
    while len(order) < 12:
        before = len(order)
        stand.reactor.turn()
        counts.append(len(order) - before)
    assert max(counts) <= 4
    assert sorted(order) == list(range(12))
    stand.turn()
    assert all(answered(peer) for peer, _ in pairs)


def test_every_socket_has_its_turn_though_the_first_are_busy(stand: Stand) -> None:
    """The poller tells of sockets in the same order each time. Those that a turn leaves unserved come first in the
    next, and not those that are ready again by then."""
    much = b"q" * 10_000
    order: list[int] = []

    def step(number: int) -> None:
        order.append(number)
        time.sleep(0.003)
        stand.runtime.step_ended_at = time.monotonic()

    pairs = serve(stand, *(partial(step, number) for number in range(8)), data=much)
    while len(order) < 24:
        before = len(order)
        stand.reactor.turn()
        assert 0 < len(order) - before <= 3
        for number in order[before:]:
            pairs[number][0].sendall(much)
        time.sleep(0.01)  # over loopback it is there by then
    counts = [order.count(number) for number in range(8)]
    assert max(counts) - min(counts) <= 2, order  # one that was not ready yet misses a round
    pairs[0][0].close()
    pairs[7][0].close()  # of those that are left unserved, some may be gone
    for _ in range(8):
        stand.reactor.turn()
    assert len(order) > 24


def test_a_turn_inside_of_a_step(stand: Stand) -> None:
    """A loop that an application runs inside of its step serves the other sockets, those whose exchanges were to begin
    together with it included, and nothing that was closed meanwhile is touched."""
    order: list[str] = []

    def nest() -> None:
        order.append("outer")
        late.sendall(b"q")
        pairs[2][0].close()
        assert readable(stand.reactor.fd, 5)
        time.sleep(0.05)
        stand.turn()
        gc.collect()
        order.append("outer ends")

    ((late, _),) = connect(stand, lambda: order.append("late"))
    pairs = serve(stand, nest, lambda: order.append("second"), lambda: order.append("third"))
    stand.turn()
    assert order[0] == "outer"
    assert order[-1] == "outer ends"
    assert set(order[1:-1]) == {"second", "third", "late"}
    assert answered(pairs[0][0])
    assert answered(late)
    stand.turn()
    assert stand.errors == []


def test_an_answer_does_not_wait_for_a_slow_application(stand: Stand) -> None:
    before: list[int] = []
    pairs: list[tuple[socket.socket, Told]] = []

    def slow() -> None:
        before.append(sum(answered(peer) for peer, _ in pairs))

    pairs += serve(stand, slow, slow, slow)
    stand.turn()
    assert before == [0, 1, 2]
    assert all(answered(peer) for peer, _ in pairs)


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_an_error_ends_one(stand: Stand, error: BaseException) -> None:
    def fail() -> None:
        raise error

    pairs = serve(stand, lambda: None, fail, lambda: None)
    if isinstance(error, Exception):
        stand.turn()
        assert stand.errors == ["A connection ended in an internal error"]
        stand.turn()
        assert "lost" in pairs[1][1].events
    else:
        with pytest.raises(KeyboardInterrupt):
            stand.turn()
    assert answered(pairs[0][0])
    assert answered(pairs[2][0])


def test_what_came_with_much_data_begins_at_once(stand: Stand) -> None:
    pairs = serve(stand, lambda: None, lambda: None, data=b"q" * 5000)
    stand.turn()
    assert all("alone" in connection.events for _, connection in pairs)
    assert all(answered(peer) for peer, _ in pairs)


def test_one_stream_of_a_connection_begins_so(stand: Stand) -> None:
    """A second one, of pipelined bytes, has its turn when the first has ended."""
    asked: list[bool] = []
    (peer, connection), *_ = serve(stand, lambda: None)
    connection.on_data = lambda c, data: asked.extend(
        c.transport.begin_in_batch(Beginning(lambda: None)) for _ in range(2)
    )
    stand.turn()
    assert asked == [True, False]
    assert not connection.transport.begin_in_batch(Beginning(lambda: None)), "outside of a read"
    assert not answered(peer)


def test_more_than_begin_together(stand: Stand) -> None:
    counts: list[int] = []

    def look() -> None:
        counts.append(sum(b"q" in c.events for c in stand.connections))

    pairs = serve(stand, *[look] * 70)
    stand.turn()
    assert counts[:64] == [64] * 64
    assert counts[64:] == [70] * 6
    assert all(read(peer, 6) == b"answer" for peer, _ in pairs)


class Relay:
    """Connections each of whose exchanges has the next one's client send: `served` of them were begun."""

    def __init__(self, stand: Stand, count: int, data: bytes = b"q") -> None:
        self.served = 0
        self.data = data
        self.pairs = connect(stand, *[self.pass_on] * count)
        self.pairs[0][0].sendall(b"q")
        assert readable(stand.reactor.fd, 5), "nothing came"

    def pass_on(self) -> None:
        self.served += 1
        if self.served < len(self.pairs):
            self.pairs[self.served][0].sendall(self.data)


def test_what_comes_meanwhile_is_served_in_the_same_turn(stand: Stand) -> None:
    relay = Relay(stand, 5)
    stand.turn()
    assert relay.served == 5
    assert all(read(peer, 6) == b"answer" for peer, _ in relay.pairs)


def test_a_turn_ends_though_more_comes(stand: Stand) -> None:
    relay = Relay(stand, 80)
    counts = []
    while relay.served < 80:
        before = relay.served
        stand.turn()
        counts.append(relay.served - before)
    assert counts == [32, 32, 16]


def test_after_much_data_the_loop_has_its_turn_first(stand: Stand) -> None:
    relay = Relay(stand, 4, b"q" * 5000)
    stand.turn()
    assert relay.served == 2, "the second came with much data, and is the last of this turn"
    stand.turn()
    assert relay.served == 3


def test_a_loop_inside_of_a_step_sends_what_others_write_meanwhile(stand: Stand) -> None:
    """The turn that the step belongs to has not ended, and may not for long."""
    other, told = stand.connect()
    received: list[bytes] = []

    def step() -> None:
        told.transport.write(b"news")
        told.transport.end_turn_soon()
        callbacks, stand.runtime.soon[:] = list(stand.runtime.soon), []
        for callback in callbacks:
            callback()
        received.append(read(other, 4))

    pairs = serve(stand, step)
    stand.turn()
    assert received == [b"news"]
    assert all(answered(peer) for peer, _ in pairs)
