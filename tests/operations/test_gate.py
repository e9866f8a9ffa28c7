"""What stands between a request and the application: the server's own answers, limits, counts."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import GET, Answers, body, config, request, response, responses, start
from tests.support.http2 import H2, headers

from hypercorn.metrics import FIELDS
from hypercorn.testing import Event, MemoryServer, sleep

UPGRADE = request(
    "/",
    "Upgrade: websocket",
    "Connection: upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


class Waits:
    """An application that answers when it is told."""

    def __init__(self) -> None:
        self.go_on = Event()
        self.calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.calls += 1
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        await self.go_on.wait()
        await send(start())
        await send(body(b"ok"))


def counts(server: MemoryServer) -> dict[str, int]:
    """All counters."""
    assert server.counters is not None
    return dict(zip(FIELDS, server.counters.values(), strict=True))


# -- health and readiness


def test_health_and_readiness_are_answered_before_the_application() -> None:
    app = Answers()
    server = MemoryServer(app, config(health_path="/livez", ready_path="/readyz"))
    client = server.connect()
    for path, text in (("/livez", b"ok\n"), ("/readyz", b"ready\n")):
        client.send(request(path))
        answer = response(client)
        assert (answer.status, answer.body) == (200, text)
        client.send(request(path, method="HEAD"))
        assert response(client, "HEAD").body == b""
    assert app.scopes == []
    client.send(request("/livez/"))
    assert response(client).status == 200
    assert [scope["path"] for scope in app.scopes] == ["/livez/"]
    assert len(client.access) == 5, "each leaves its record"


def test_readiness_fails_while_draining() -> None:
    server = MemoryServer(Answers(), config(health_path="/livez", ready_path="/readyz"))
    client = server.connect()
    server.health.draining = True
    client.send(request("/readyz"))
    answer = response(client)
    assert answer.status == 503
    assert answer.get(b"retry-after") == b"1"
    client.send(request("/livez"))
    assert response(client).status == 200


# -- limit_concurrency


def test_requests_beyond_limit_concurrency_get_503() -> None:
    app = Waits()
    server = MemoryServer(app, config(limit_concurrency=2, health_path="/livez"))
    first, second, third = (server.connect() for _ in range(3))
    first.send(GET)
    second.send(GET)
    third.send(GET)
    refused = response(third)
    assert refused.status == 503
    assert refused.get(b"retry-after") == b"1"
    assert app.calls == 2
    third.send(request("/livez"))
    assert response(third).status == 200, "health is exempt"
    app.go_on.set()
    assert response(first).status == response(second).status == 200
    third.send(GET)
    assert response(third).status == 200
    assert [entry.status for entry in third.access].count(503) == 1


def test_a_client_that_left_makes_room_once_its_call_has_ended() -> None:
    app = Waits()
    server = MemoryServer(app, config(limit_concurrency=1), counted=True)
    first, second = server.connect(), server.connect()
    first.send(GET)
    second.send(GET)
    assert response(second).status == 503
    first.disconnect()
    second.send(GET)
    assert response(second).status == 503
    app.go_on.set()
    second.advance(0.0)
    second.send(GET)
    assert response(second).status == 200
    assert app.calls == 2


def test_websockets_count_while_they_last() -> None:
    app = Waits()
    server = MemoryServer(app, config(limit_concurrency=1))
    first, second = server.connect(), server.connect()
    first.send(UPGRADE)
    assert first.received().startswith(b"HTTP/1.1 101")
    second.send(UPGRADE)
    refused = response(second)
    assert (refused.status, refused.get(b"retry-after")) == (503, b"1")
    first.disconnect()
    third = server.connect()
    third.send(UPGRADE)
    assert third.received().startswith(b"HTTP/1.1 101")


def test_streams_of_one_connection_count_each() -> None:
    app = Waits()
    server = MemoryServer(app, config(limit_concurrency=2))
    peer = H2(app, server=server)
    peer.send(headers(1), headers(3), headers(5))
    assert peer.answer(5).status == 503
    assert app.calls == 2
    app.go_on.set()
    peer.receive()
    assert peer.answer(1).status == peer.answer(3).status == 200


# -- shed_delay


def test_requests_that_wait_too_long_for_the_loop_are_turned_away() -> None:
    server: MemoryServer

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        server.runtime.time += 0.03  # of computing
        await send(start())
        await send(body(b"ok"))

    server = MemoryServer(slow, config(shed_delay=0.05, health_path="/livez"), counted=True)
    client = server.connect()

    def batch(size: int) -> list[int]:
        """A batch of requests that are ready at the same time."""
        client.transport.deliver(GET * size)
        client.runtime.run()
        return [answer.status for answer in responses(client)]

    assert batch(5) == [200] * 5, "a burst is no overload"
    for _ in range(4):
        statuses = batch(10)
    assert statuses[:2] == [200] * 2
    assert statuses[-5:] == [503] * 5
    assert counts(server)["refused_delay"] >= 5
    assert batch(1) == [200]
    assert batch(3) == [200] * 3, "it has caught up"


# -- counts


def test_what_is_counted() -> None:
    server = MemoryServer(Answers(start(), body(b"12345")), config(max_body_size=10), counted=True)
    client = server.connect()
    client.send(request(method="POST", body=b"abc"))
    client.send(request(method="POST", body=b"much too long"))
    refused = server.connect()
    refused.send(b"nonsense\r\n\r\n")
    H2(None, server=server).send(headers(1))
    found = counts(server)
    assert found["http1_requests"] == 1
    assert found["http2_requests"] == 1
    assert found["requests_started"] == found["requests_ended"] == 2
    assert found["responses_2xx"] == 2
    assert (found["bytes_received"], found["bytes_sent"]) == (3, 10)
    assert (found["refused_too_large"], found["refused_malformed"]) == (1, 1)
    assert found["duration_0"] == 2


def test_a_client_that_leaves_is_counted() -> None:
    app = Waits()
    server = MemoryServer(app, config(), counted=True)
    client = server.connect()
    client.send(GET)
    assert counts(server)["requests_started"] - counts(server)["requests_ended"] == 1
    client.disconnect()
    assert (counts(server)["requests_aborted"], counts(server)["requests_ended"]) == (1, 0)
    app.go_on.set()
    client.advance(0.0)
    assert counts(server)["requests_aborted"] == counts(server)["requests_ended"] == 1


@pytest.mark.parametrize("counted", [False, True])
def test_a_gate_is_there_only_where_it_is_asked_for(counted: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await sleep(2.0)
        await send(start(404))
        await send(body(b""))

    server = MemoryServer(app, config(), counted=counted)
    assert (server.context.gate is not None) is counted
    client = server.connect()
    client.send(GET)
    client.advance(2.5)
    assert response(client).status == 404
    if counted:
        found = counts(server)
        assert (found["responses_4xx"], found["duration_10"], found["duration_microseconds"]) == (1, 1, 2_000_000)
