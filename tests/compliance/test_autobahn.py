"""The Autobahn test suite: every case OK, on every loop, with the reactor and without."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compliance.autobahn import SAMPLE, failures, play, python2
from tests.support.live import BACKENDS, DRIVERS, Live

import hypercorn


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends everything back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, Live]]:
    """The servers that are asked for, as pairs of a loop and a driver."""
    python2()
    started = {
        f"{hypercorn.build()}-{backend}-{driver}": Live(
            echo,
            backend,
            lifespan="off",
            runtime=driver,
            graceful_timeout=0.1,
            websocket_compression={"threshold": 0, "window_bits": 15},
        )
        for backend, driver in request.param
    }
    yield started
    for live in started.values():
        live.stop()
        assert live.errors() == []


def judge(results: dict[str, Any], servers: dict[str, Live], least: int) -> None:
    assert results.keys() == servers.keys()
    assert all(len(cases) >= least for cases in results.values())
    assert failures(results) == []


@pytest.mark.parametrize("servers", [[(backend, DRIVERS[0]) for backend in BACKENDS]], ids=["best"], indirect=True)
def test_a_sample(servers: dict[str, Live], tmp_path: Path) -> None:
    """Framing, control frames, fragments, UTF-8 and closing as a whole; some of the compression."""
    judge(play(tmp_path, {name: live.port for name, live in servers.items()}, SAMPLE), servers, 240)


@pytest.mark.slow
@pytest.mark.parametrize(
    "servers",
    [pytest.param([(backend, driver)], id=f"{backend}-{driver}") for backend in BACKENDS for driver in DRIVERS],
    indirect=True,
)
def test_all(servers: dict[str, Live], tmp_path: Path) -> None:
    """All cases. Leaves the verdicts in the folder HYPERCORN_AUTOBAHN_RESULTS, for the table of docs/autobahn.md."""
    results = play(tmp_path, {name: live.port for name, live in servers.items()}, ["*"], patience=7200)
    if folder := os.environ.get("HYPERCORN_AUTOBAHN_RESULTS"):
        for name, cases in results.items():
            (Path(folder) / f"{name}.json").write_text(json.dumps(cases, indent=1, sort_keys=True))
    judge(results, servers, 500)
