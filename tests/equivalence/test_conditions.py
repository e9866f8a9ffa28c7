"""An application observes the same as in a plain task also where it, or a tool, has changed the loop."""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.equivalence.carriers import http3_options
from tests.equivalence.conditions import CONDITIONS, Condition
from tests.equivalence.driver import drive
from tests.equivalence.libraries import with_lifespan
from tests.equivalence.programs import ACTIONS, application, settle
from tests.equivalence.test_equivalence import PATHS, over_http2, over_http3, over_websocket, pipelined
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import DRIVERS, Live

__all__ = ("certificates",)  # a fixture

# What eager tasks do in an order of their own: the action's own tasks begin at once, too.
NAMES = [name for name in ACTIONS if name != "thread_looks"]


@pytest.mark.parametrize("carrier", [pipelined, over_http2, over_http3, over_websocket], ids=lambda one: one.__name__)
@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.__name__)
def test_every_action(
    serve_app: Any,
    backend: str,
    driver: str,
    certificates: Certificates,
    condition: Condition,
    carrier: Callable[[Live], None],
) -> None:
    if carrier is over_http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    if backend == "trio" and condition.__name__ != "monitoring":
        pytest.skip("trio has no task factories, and no debug mode")
    if backend == "uvloop" and condition.__name__ == "eager_factory":
        pytest.skip("uvloop gives asyncio's eager factory an argument that it does not take")
    told_plain: list[str] = []
    told: list[str] = []
    plain: list[list[str]] = []
    events: list[list[str]] = []
    settle()
    app = with_lifespan(application(NAMES, plain), partial(condition, told_plain))
    kind = "websocket" if carrier is over_websocket else "http"
    exchanges = drive(backend, app, kind, [(path, ["text"]) for path in PATHS], lives=True)
    assert [exchange.error for exchange in exchanges] == [None] * len(PATHS)
    settle()
    gc.collect()
    options = http3_options(certificates) if carrier is over_http3 else {}
    live = serve_app(with_lifespan(application(NAMES, events), partial(condition, told)), lifespan="on", **options)
    carrier(live)
    live.stop()
    assert events == plain
    assert told == told_plain
    assert live.errors() == []
