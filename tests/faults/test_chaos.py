"""A mixed load through a proxy that cuts, delays, truncates, splits and resets at random: afterwards the server serves,
nothing of it is left, each application call has ended, and no record tells of it."""

from __future__ import annotations

import threading
from random import Random

import pytest
from tests.faults.carriers import KINDS
from tests.faults.chaos import ChaosProxy
from tests.faults.world import World

MIX = ("h1", "h2", "ws-h1", "ws-h2")
CLIENTS = 4


def load(world: World, seed: int, count: int) -> ChaosProxy:
    """`count` exchanges by each of the clients, at the same time."""
    proxy = ChaosProxy(world.ports["plain"], seed)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        random = Random(f"{seed} {number}")
        try:
            for _ in range(count):
                client = KINDS[random.choice(MIX)](proxy.port)
                client.provoke(random.choice(("/ok", "/ok", "/large")))
                client.leave()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    proxy.close()
    assert failures == []
    return proxy


def judge(world: World, seed: int, count: int) -> None:
    """Plays the load, and looks at what it leaves."""
    before = len(world.live.errors())
    proxy = load(world, seed, count)
    assert all(proxy.done[action] for action in ("pass", "delay", "split", "cut")), proxy.done
    world.settled()
    world.check()
    for carrier in MIX:
        fresh = world.new(carrier)
        fresh.go()
        fresh.leave()
    world.settled()
    assert world.live.errors()[before:] == []


def test_a_mixed_load_through_a_bad_network(world: World) -> None:
    judge(world, seed=1, count=12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 8))
def test_for_longer(world: World, seed: int) -> None:
    judge(world, seed, count=150)
