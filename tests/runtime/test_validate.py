"""`validate_app` on live servers: a mistake fails its own request, and the log says which rule it broke."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from tests.support.live import Live, eventually, respond

from hypercorn.config import Config
from hypercorn.errors import LifespanFailureError


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["path"] == "/wrong":
        await respond(send, b"x", headers=[(b"Content-Type", b"text/plain")])
    else:
        await respond(send, b"right", headers=[(b"content-type", b"text/plain")])


def test_a_mistake_fails_its_own_request(serve_app: Any) -> None:
    live: Live = serve_app(app, validate_app=True)
    with live.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /wrong HTTP/1.1\r\nhost: a\r\n\r\n")
        first, second = peer.response(), peer.response()
    assert (first.status, first.body, second.status) == (200, b"right", 500)
    [record] = [one for one in live.log.records if one.levelno >= logging.ERROR and one.exc_info]
    assert "'Content-Type' is not in lower case" in str(record.exc_info[1])  # type: ignore[index]
    assert '"Response Start - send event"' in str(record.exc_info[1])  # type: ignore[index]


def test_wsgi_is_checked_too(serve_app: Any) -> None:
    def wsgi(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
        return [b"ok"] if environ["PATH_INFO"] == "/" else ["ok"]

    live: Live = serve_app(wsgi, validate_app=True)
    with live.connect() as peer:
        peer.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        assert peer.response().body == b"ok"
        peer.send(b"GET /text HTTP/1.1\r\nhost: a\r\n\r\n")
        assert peer.response().status == 500
    assert eventually(lambda: any("AssertionError" in str(one.exc_info) for one in live.log.records if one.exc_info))


def test_a_lifespan_that_breaks_a_rule_is_no_missing_one(serve_app: Any) -> None:
    async def wrong(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete", "message": b"bytes"})

    with pytest.raises(LifespanFailureError, match='"message" is of type bytes'):
        serve_app(wrong, validate_app=True)
    assert Config().validate_app is False
