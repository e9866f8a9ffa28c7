"""`shed_delay` against a loop that has too much to do."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.support.live import eventually, respond

pytestmark = pytest.mark.slow  # a machine that is busy with other things is overloaded before the test begins

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
STEP = 0.02  # seconds of computing for each request: a turn ends after one
WAVE, WAVES = 10, 12  # requests that come together, and how often


def test_requests_wait_over_turns_that_were_cut_short(serve_app: Any) -> None:
    """The wait is that since the first of the requests for which the loop has had no pause, in whatever turns."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        time.sleep(STEP)  # noqa: ASYNC251
        await respond(send)

    live = serve_app(app, lifespan="off", shed_delay=0.1)
    waves = [[live.connect() for _ in range(WAVE)] for _ in range(WAVES)]
    for wave in waves:
        for peer in wave:
            assert peer.get().status == 200
    for wave in waves:
        for peer in wave:
            peer.send(GET)
        time.sleep(0.1)  # each wave takes twice as long
    found = [peer.response().status for wave in waves for peer in wave]
    assert found.count(200) >= 5, "a wait within the target is no overload"
    assert found.count(503) >= 2 * WAVE

    def answers() -> bool:
        with live.connect() as peer:
            return bool(peer.get().status == 200)

    eventually(answers)  # it has caught up
    assert live.errors() == []
