"""Limits for each client: its requests, its connections, and who counts as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.harness import GET, Answers, config, request, response
from tests.support.http2 import H2, headers
from tests.support.live import Live, hello

from hypercorn.asgi.clients import Buckets, ClientLimits, limits_clients
from hypercorn.config import Config
from hypercorn.config.options import limits_of
from hypercorn.protocol.limits import Limits
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.testing import Client, MemoryServer

UPGRADE = request(
    "/",
    "Upgrade: websocket",
    "Connection: upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def ask(client: Client, path: str = "/", *fields: str) -> Any:
    client.send(request(path, *fields))
    return response(client)


def test_requests_beyond_the_rate_get_429_until_their_time_comes() -> None:
    app = Answers()
    client = MemoryServer(app, config(client_request_rate=2), counted=True).connect()
    assert [ask(client).status for _ in range(3)] == [200, 200, 429]
    client.send(GET)
    refused = response(client)
    assert refused.body == b"too many requests of this client\n"
    fields = dict(refused.headers)
    assert fields[b"retry-after"] == b"1"
    assert fields[b"ratelimit-policy"] == b'"client";q=2;w=1'
    assert fields[b"ratelimit"] == b'"client";r=0;t=1'
    client.advance(0.5)
    assert [ask(client).status for _ in range(2)] == [200, 429]
    client.advance(10)  # no more than a burst is saved up
    client = client.server.connect()
    assert [ask(client).status for _ in range(3)] == [200, 200, 429]
    assert client.server.counters is not None
    assert client.server.counters.others["refused_client"] == 4


def test_the_wait_is_told_in_whole_seconds() -> None:
    client = MemoryServer(Answers(), config(client_request_rate=1, client_request_burst=5)).connect()
    assert [ask(client).status for _ in range(6)] == [200] * 5 + [429]
    fields = dict(ask(client).headers)
    assert (fields[b"retry-after"], fields[b"ratelimit-policy"]) == (b"1", b'"client";q=5;w=5')


def test_every_protocol_counts() -> None:
    server = MemoryServer(Answers(), config(client_request_rate=2))
    assert ask(server.connect()).status == 200
    h2 = H2(None, server=server)
    h2.send(headers(1), headers(3))
    assert (h2.answer(1).status, h2.answer(3).status) == (200, 429)
    client = server.connect()
    client.send(UPGRADE)
    assert client.received().startswith(b"HTTP/1.1 429 ")


def test_clients_are_prefixes() -> None:
    server = MemoryServer(Answers(), config(client_request_rate=1, client_prefix_ipv4=24))
    for host, status in (
        ("192.0.2.1", 200),
        ("192.0.2.200", 429),
        ("::ffff:192.0.2.7", 429),
        ("192.0.3.1", 200),
        ("2001:db8:0:1::1", 200),
        ("2001:db8:0:1:ffff::2", 429),
        ("2001:db8:0:2::1", 200),
        ("fe80::1%eth0", 200),
        ("fe80::2", 429),
        ("unknown", 200),
        ("unknown", 200),
    ):
        assert ask(server.connect(client=(host, 1))).status == status, host
    for _ in range(3):
        assert ask(server.connect(client=None)).status == 200  # a unix socket


def test_behind_a_trusted_proxy_it_is_the_clients_own_address() -> None:
    server = MemoryServer(Answers(), config(client_request_rate=1, trusted_proxies=["10.0.0.1"]))
    client = server.connect(client=("10.0.0.1", 1))
    asked = [ask(client, "/", f"X-Forwarded-For: 192.0.2.{last}").status for last in (1, 2, 1)]
    assert asked == [200, 200, 429]


def test_exempt_paths_are_not_counted() -> None:
    server = MemoryServer(
        Answers(), config(client_request_rate=1, client_exempt_paths=["/static/", "/hook"], health_path="/livez")
    )
    client = server.connect()
    for path in ("/static/a.js", "/static", "/hook", "/hook/1", "/livez") * 2:
        assert ask(client, path).status == 200, path
    assert [ask(client, path).status for path in ("/hooks", "/statics")] == [200, 429]


def test_memory_is_bounded() -> None:
    buckets = Buckets(1, 1, 100)
    for number in range(1000):
        assert buckets.take(b"%d" % number, 0.0) == 0.0
    assert len(buckets.times) == 100
    assert buckets.take(b"999", 0.0) == 1.0
    assert buckets.take(b"0", 0.0) == 0.0  # forgotten: it has a whole burst again


@pytest.mark.parametrize(("rate", "burst"), [(1, 1), (3, 7), (100, 2), (7, 1000)])
def test_a_bucket_gives_what_its_rate_and_burst_say(rate: int, burst: int) -> None:
    buckets = Buckets(rate, burst, 10)
    now, taken = 1000.0, 0
    for step in range(5000):
        now = 1000.0 + step * 0.01
        while not (wait := buckets.take(b"a", now)):
            taken += 1
        assert 0 < wait <= 1 / rate + 1e-6
    assert burst + rate * (now - 1000.0) - 1 <= taken <= burst + rate * (now - 1000.0) + 1


def test_nothing_is_limited_unless_asked_for() -> None:
    assert not limits_clients(Limits(limits_of(Config())))
    assert MemoryServer(Answers()).context.gate is None


def test_connections_are_counted_by_client() -> None:
    limits = Limits(limits_of(config(client_connections=2)))
    clients = ClientLimits(MemoryRuntime(), limits, [])
    peers = [object() for _ in range(4)]
    assert [clients.connect(peer, ("192.0.2.1", 1)) for peer in peers[:3]] == [True, True, False]
    assert clients.connect(peers[3], ("192.0.2.2", 1))
    clients.disconnect(peers[2])  # it was not counted
    assert not clients.connect(peers[2], ("192.0.2.1", 1))
    for peer in peers:
        clients.disconnect(peer)
    assert (clients.open, clients.keys) == ({}, {})


# -- over sockets


@pytest.fixture
def many() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_connections_of_one_client_beyond_the_limit_are_refused(serve_app: Any, many: ExitStack) -> None:
    live: Live = serve_app(hello, client_connections=3)
    peers = [many.enter_context(live.connect()) for _ in range(3)]
    for peer in peers:
        peer.send(GET)
        assert peer.response().status == 200
    with live.connect() as peer:
        refused = peer.response()
        assert (refused.status, refused.body) == (429, b"too many connections of this client\n")
        assert ("retry-after", "1") in refused.headers
    peers[0].close()
    for _ in range(200):
        with live.connect() as peer:
            peer.send(GET)
            if peer.response().status == 200:
                return
    pytest.fail("a place that was given up was not given to another")


def test_new_connections_have_a_rate(serve_app: Any) -> None:
    live: Live = serve_app(hello, client_connection_rate=1, client_connection_burst=4)
    statuses = []
    for _ in range(6):
        with live.connect() as peer:
            peer.send(GET)
            statuses.append(peer.response().status)
    assert statuses[:4] == [200] * 4
    assert 429 in statuses[4:]
