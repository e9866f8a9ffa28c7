"""The Autobahn test suite: every case OK, on every loop, with the reactor and without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.compliance.autobahn import SAMPLE, failures, play, python2
from tests.live import BACKENDS, DRIVERS, Live

import hypercorn


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Sends everything back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.fixture
def servers(request: pytest.FixtureRequest) -> Iterator[dict[str, Live]]:
    """Servers on every loop, with these drivers."""
    python2()
    started = {
        f"{backend}-{driver}": Live(
            echo,
            backend,
            lifespan="off",
            runtime=driver,
            graceful_timeout=0.1,
            websocket_compression={"threshold": 0, "window_bits": 15},
        )
        for backend in BACKENDS
        for driver in request.param
    }
    yield started
    for live in started.values():
        live.stop()
        assert live.errors() == []


def judge(results: dict[str, Any], servers: dict[str, Live], least: int) -> None:
    assert results.keys() == servers.keys()
    assert all(len(cases) >= least for cases in results.values())
    assert failures(results) == []


@pytest.mark.parametrize("servers", [DRIVERS[:1]], ids=["best"], indirect=True)
def test_a_sample(servers: dict[str, Live], tmp_path: Path) -> None:
    """Framing, control frames, fragments, UTF-8 and closing as a whole; some of the compression."""
    judge(play(tmp_path, {name: live.port for name, live in servers.items()}, SAMPLE), servers, 240)


@pytest.mark.slow
@pytest.mark.parametrize("servers", [DRIVERS], ids=["all"], indirect=True)
def test_all(servers: dict[str, Live], tmp_path: Path) -> None:
    """All cases, on one server after the other. Writes the table of docs/autobahn.md to the output."""
    table = []
    for name, live in servers.items():
        results = play(tmp_path, {name: live.port}, ["*"], patience=7200)
        judge(results, {name: live}, 500)
        verdicts = [entry["behavior"] for entry in results[name].values()]
        counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
        table.append(f"| {hypercorn.build()} | {name} | {counts} |")
    print("\n".join(table), file=sys.stderr)
