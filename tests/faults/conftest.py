"""A server of everything, on every loop and either way to move the bytes, in which faults can be put."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator

import pytest

if sys.implementation.name == "pypy":
    pytest.importorskip("aioquic", reason="there is no aioquic for PyPy")  # all of this folder needs it

from tests.faults.injection import FAULTS, install
from tests.faults.world import World
from tests.support.live import BACKENDS, DRIVERS
from tests.support.peer import Peer

PLACES = [(backend, driver) for backend in BACKENDS for driver in DRIVERS]


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        world = World(*request.param, tmp_path_factory.mktemp("world"))
        yield world
        FAULTS.clear()
        world.close()
        with warnings.catch_warnings():
            # A loop's transport whose socket failed to close says so when it is collected: here, not in a later test.
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


@pytest.fixture(autouse=True)
def close_peers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Takes the place of the fixture for all tests: here the bystanders stay open between the tests."""
    kept = len(Peer.opened)
    yield
    for peer in Peer.opened[kept:]:
        peer.close()
    del Peer.opened[kept:]
