"""RequestIDMiddleware."""

from __future__ import annotations

import logging

import pytest
from tests.middleware.asking import Seen, ask, upgrade

from hypercorn.middleware import RequestIDMiddleware
from hypercorn.middleware.request_id import RequestIDFilter, request_id


def test_every_request_has_another() -> None:
    app = Seen()
    first = ask(RequestIDMiddleware(app), "/", "X-Request-ID: mine").fields["x-request-id"]
    assert (len(first), app.scope["request_id"]) == (32, first)
    assert ask(RequestIDMiddleware(app)).fields["x-request-id"] != first
    assert request_id.get() == ""


@pytest.mark.parametrize(
    ("brought", "taken"), [("mine-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False)]
)
def test_one_that_a_proxy_brings(brought: str, taken: bool) -> None:
    app = RequestIDMiddleware(Seen(), trusted=True, header="X-Correlation-ID", new_id=lambda: "new")
    answer = ask(app, "/", f"X-Correlation-ID: {brought}")
    assert answer.fields["x-correlation-id"] == (brought if taken else "new")


def test_records_have_it() -> None:
    record = logging.LogRecord("a", 20, "a", 1, "text", None, None)
    seen = []

    async def app(scope: object, receive: object, send: object) -> None:
        assert RequestIDFilter().filter(record)
        seen.append(record.request_id)  # type: ignore[attr-defined]

    ask(RequestIDMiddleware(app, new_id=lambda: "new"))
    RequestIDFilter().filter(record)
    assert [*seen, record.request_id] == ["new", "-"]  # type: ignore[attr-defined]


def test_websockets_have_one_too() -> None:
    app = Seen()
    ask(RequestIDMiddleware(app), "/", *upgrade())
    assert app.scope["request_id"]
