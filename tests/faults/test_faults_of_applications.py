"""Whatever an application raises, and whenever: its own exchange ends, with one record, and nothing else does (N1)."""

from __future__ import annotations

import sys

import pytest
from tests.faults.carriers import CARRIERS
from tests.faults.injection import APP_ERRORS
from tests.faults.world import World
from tests.support.live import eventually

WHEN = ("before", "later", "receive", "started", "part", "after", "cancelled")


@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("carrier", [carrier for carrier in CARRIERS if "-tls" not in carrier])
def test_an_application_raises(world: World, carrier: str, when: str) -> None:
    if when == "cancelled" and (carrier.startswith("ws") or world.backend == "trio"):
        pytest.skip("said by CancelledError there")
    live = world.live
    for kind in APP_ERRORS if when != "cancelled" else ("CancelledError",):
        before = len(live.errors())
        victim = world.new(carrier)
        status = victim.provoke(f"/fault/{when}/{kind}")
        if when == "after":
            assert status in ((200, 101, 0) if carrier.startswith("ws") else (200,)), kind
        elif when == "part" or carrier.startswith("ws"):
            assert status in (0, 500), kind
        else:
            assert status == 500, kind
        world.check(carrier)
        victim.leave()
        world.settled()
        records = live.errors()[before:]
        assert len(records) <= 1, (kind, records)
        if issubclass(type(APP_ERRORS[kind]()), Exception) and sys.version_info >= (3, 11):
            eventually(lambda before=before: len(live.errors()) == before + 1)
    world.check()
    fresh = world.new(carrier)
    fresh.go()
    fresh.leave()
    world.settled()
