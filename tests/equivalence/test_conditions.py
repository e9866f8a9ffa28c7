"""An application observes the same as in a plain task also where it, or a tool, has changed the loop."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import pytest
from tests.equivalence.conditions import CONDITIONS, Condition
from tests.equivalence.driver import drive
from tests.equivalence.libraries import with_lifespan
from tests.equivalence.programs import ACTIONS, application, settle
from tests.equivalence.test_equivalence import PATHS, pipelined

# What eager tasks do in an order of their own: the action's own tasks begin at once, too.
NAMES = [name for name in ACTIONS if name != "thread_looks"]


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.__name__)
def test_every_action(serve_app: Any, backend: str, condition: Condition) -> None:
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
    exchanges = drive(backend, app, "http", [(path, ["text"]) for path in PATHS], lives=True)
    assert [exchange.error for exchange in exchanges] == [None] * len(PATHS)
    settle()
    gc.collect()
    live = serve_app(with_lifespan(application(NAMES, events), partial(condition, told)), lifespan="on")
    pipelined(live)
    live.stop()
    assert events == plain
    assert told == told_plain
    assert live.errors() == []
