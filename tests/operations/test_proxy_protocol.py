"""The PROXY protocol, versions 1 and 2, in front of HTTP/1.1, HTTP/2 and TLS."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.harness import config
from tests.support.http2 import PREFACE, START, Reader, headers
from tests.support.live import BACKENDS, Live, respond
from tests.support.peer import Peer

from hypercorn.errors import ConfigError
from hypercorn.runtime.proxy import LONGEST_TEXT_BYTES, SIGNATURE, read_header

SOURCE, TARGET = ("203.0.113.9", 4711), ("192.0.2.1", 443)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"


def binary(source: str = SOURCE[0], target: str = TARGET[0], command: int = 1, extra: bytes = b"") -> bytes:
    """A header of version 2."""
    one, other = ip_address(source), ip_address(target)
    family = 0x11 if one.version == 4 else 0x21
    payload = one.packed + other.packed + (4711).to_bytes(2, "big") + (443).to_bytes(2, "big") + extra
    return SIGNATURE + bytes((0x20 | command, family)) + len(payload).to_bytes(2, "big") + payload


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (V1, (len(V1), SOURCE, TARGET, True)),
        (b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", (36, ("2001:db8::1", 1), ("::1", 65535), True)),
        (b"PROXY UNKNOWN\r\n", (15, None, None, False)),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", (35, None, None, False)),
        (binary(), (28, SOURCE, TARGET, True)),
        (binary("2001:db8::1", "::1"), (52, ("2001:db8::1", 4711), ("::1", 443), True)),
        (binary(extra=b"\x01\x00\x02h2"), (33, SOURCE, TARGET, True)),
        (binary(command=0), (28, None, None, False)),
        (SIGNATURE + b"\x21\x00\x00\x00", (16, None, None, False)),
        (SIGNATURE + b"\x21\x31\x00\xd8" + bytes(216), (232, None, None, True)),
    ],
)
def test_headers(data: bytes, found: Any) -> None:
    assert read_header(data + b"GET") == found
    for cut in range(len(data)):
        assert read_header(data[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n",
        b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 65536\r\n",
        b"PROXY TCP4 203.0.113.9 192.0.2.1 -1 1\r\n",
        b"PROXY TCP5 203.0.113.9 192.0.2.1 1 1\r\n",
        b"PROXY " + b"x" * LONGEST_TEXT_BYTES,
        b"PROXY \xff\r\n",
        SIGNATURE + b"\x11\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x22\x11\x00\x0c" + bytes(12),
        SIGNATURE + b"\x21\x11\x00\x04" + bytes(4),
        SIGNATURE + b"\x21\x11\xff\xff" + bytes(4),
    ],
)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(ValueError):
        read_header(data)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=40), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"]))
def test_any_bytes_are_a_header_or_none_or_an_error(data: bytes, start: bytes) -> None:
    try:
        found = read_header(start + data)
    except ValueError:
        return
    assert found is None or 0 < found[0] <= len(start + data)


async def who(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scope's client and server."""
    if scope["type"] == "http":
        await respond(send, f"{scope['client']} {scope['server']} {scope['scheme']}".encode())


def live(backend: str, **options: Any) -> Live:
    options = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.1"], "lifespan": "off", **options}
    return Live(who, backend, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_connections_count_for_the_client_that_the_proxy_names(backend: str) -> None:
    other = V1.replace(SOURCE[0].encode(), b"198.51.100.77")
    with live(backend, client_connections=1) as server, Peer(("127.0.0.1", server.port)) as first:
        first.send(V1)
        assert first.get().status == 200
        with Peer(("127.0.0.1", server.port)) as second:
            second.send(V1)
            assert second.ended()
        with Peer(("127.0.0.1", server.port)) as third:
            third.send(other)
            assert third.get().status == 200
        assert server.errors() == []


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("header", [V1, binary()], ids=["v1", "v2"])
def test_over_sockets(backend: str, header: bytes) -> None:
    with live(backend) as server:
        with Peer(("127.0.0.1", server.port)) as peer:
            peer.send(header)
            for _ in range(2):
                assert peer.get().body == f"{SOURCE} {TARGET} http".encode()
        with Peer(("127.0.0.1", server.port)) as peer:
            peer.send(header + b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert peer.response().body.startswith(str(SOURCE).encode())
        with Peer(("127.0.0.1", server.port)) as peer:
            peer.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert peer.ended()
        assert server.errors() == []


def test_in_pieces_and_before_http2() -> None:
    with live("asyncio") as server, Peer(("127.0.0.1", server.port)) as peer:
        for cut in range(0, len(V1), 7):
            peer.send(V1[cut : cut + 7])
        peer.send(PREFACE)
        assert peer.take(9)[3] == 4, "SETTINGS"


def test_with_all_of_a_request_of_http2() -> None:
    with live("asyncio") as server, Peer(("127.0.0.1", server.port)) as peer:
        reader = Reader()
        peer.send(V1 + START + headers(1))
        for stream in (1, 3):
            while stream not in reader.answers or not reader.answers[stream].over:
                received = peer.sock.recv(65536)
                assert received
                reader.feed(received)
            assert reader.answers[stream].body == f"{SOURCE} {TARGET} http".encode()
            peer.send(headers(3))


def test_peers_that_are_not_trusted_are_ordinary_clients() -> None:
    with live("asyncio", trusted_proxies=["10.0.0.1"]) as server:
        with Peer(("127.0.0.1", server.port)) as peer:
            assert peer.get().body.startswith(b"('127.0.0.1', ")
        with Peer(("127.0.0.1", server.port)) as peer:
            peer.send(V1)
            assert peer.response().status == 400


def test_a_header_that_does_not_come_is_not_waited_for() -> None:
    with live("asyncio", header_timeout=0.2) as server, Peer(("127.0.0.1", server.port)) as peer:
        peer.send(b"PROX")
        assert peer.ended()


def test_a_chain_of_proxies() -> None:
    """The client that the header names may be a trusted proxy itself, whose fields then count."""
    with live("asyncio", trusted_proxies=["127.0.0.1", SOURCE[0]]) as server, Peer(("127.0.0.1", server.port)) as peer:
        peer.send(V1)
        assert peer.get("/", "X-Forwarded-For: 198.51.100.7").body.startswith(b"('198.51.100.7', 0)")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "header",
    [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x21\x00\x00\x00", binary(command=0)],
    ids=["v1-unknown", "v2-unspec", "v2-local"],
)
def test_fields_of_an_unnamed_client_do_not_count(backend: str, header: bytes) -> None:
    """The proxy vouches for nobody: what follows may be any client's."""
    with live(backend) as server, Peer(("127.0.0.1", server.port)) as peer:
        peer.send(header)
        told = peer.get("/", "X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: https").body
        assert told == f"{('127.0.0.1', peer.port)} {('127.0.0.1', server.port)} http".encode()


def test_without_trusted_proxies_it_is_an_error() -> None:
    with pytest.raises(ConfigError, match="proxy_protocol without trusted_proxies: name the proxies"):
        config(proxy_protocol=True)


def test_before_tls(authority: Any) -> None:
    with live("asyncio", **authority.issue("localhost")) as server, Peer(("127.0.0.1", server.port)) as peer:
        peer.send(V1)
        peer.sock = authority.client().wrap_socket(peer.sock, server_hostname="localhost")
        assert peer.get().body == f"{SOURCE} {TARGET} https".encode()
