"""The WebSocket handshakes among the HTTP/1.1 cases, against live servers: the status of the file everywhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.support.live import Live, eventually
from tests.support.websocket import ACCEPT
from tests.wire.cases import Case, load

CASES = [case for case in load() if case.layer == "websocket"]


class Seen:
    """Accepts every WebSocket, and keeps the scopes."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.messages: list[Any] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            self.messages.append(message["text"])


def test_there_are_cases() -> None:
    assert len(CASES) == 8


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_case(case: Case, serve_app: Callable[..., Live]) -> None:
    app = Seen()
    live = partial(serve_app, graceful_timeout=0.1)(app, lifespan="off")
    with live.connect() as peer:
        peer.send(case.raw)
        status, headers, raw = peer.head()
        if not case.accept:
            assert status == case.status
            assert app.scopes == []
            assert dict(headers).get("sec-websocket-version") == ("13" if status == 426 else None)
            return
        assert status == 101
        assert b"sec-websocket-accept: " + ACCEPT in raw
        assert ("sec-websocket-extensions" in dict(headers)) is False
        (scope,) = app.scopes
        (wanted,) = case.requests
        assert [list(pair) for pair in wanted["headers"]] == [
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]
        ]
        if case.id == "up-pipelined-frames":
            assert eventually(lambda: app.messages) == ["hello"]
    assert live.errors() == []
