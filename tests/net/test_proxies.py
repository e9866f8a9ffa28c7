"""Forwarding fields: only what trusted proxies wrote counts, and nothing that a client writes moves its own address."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.harness import GET, Answers, config, request, response

from hypercorn.errors import ConfigError
from hypercorn.net.proxies import (
    FORWARDED,
    X_FORWARDED,
    ProxyHeaders,
    TrustedProxies,
    elements_from_right,
    parse_node,
    read_pairs,
)
from hypercorn.testing import MemoryServer

PROXY = ("10.0.0.1", 5555)
ATTACKER = "203.0.113.9"
TRUSTED = ["10.0.0.0/8", "192.168.1.1", "fd00::/8"]


def scope_of(*fields: str, peer: Any = PROXY, target: str = "/", websocket: bool = False, **options: Any) -> Any:
    """The scope of a request with these fields from that peer."""
    app = Answers()
    options.setdefault("trusted_proxies", TRUSTED)
    client = MemoryServer(app, config(**options)).connect(client=peer)
    if websocket:
        upgrade = ("Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13")
        fields = (*fields, *upgrade, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    client.send(request(target, *fields))
    return app.scopes[0]


ALL = (
    "X-Forwarded-For: 203.0.113.9, 10.2.3.4",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: example.org",
    "X-Forwarded-Port: 8443",
    "X-Forwarded-Prefix: /shop",
)
OPT_IN = {"forwarded_host": True, "forwarded_port": True, "forwarded_prefix": True}


@pytest.mark.parametrize("websocket", [False, True])
def test_host_port_and_prefix_count_only_where_they_are_asked_for(websocket: bool) -> None:
    def told(**options: Any) -> Any:
        scope = scope_of(*ALL, target="/cart", websocket=websocket, **options)
        assert scope["client"] == (ATTACKER, 0)
        return dict(scope["headers"])[b"host"], scope["server"], scope["root_path"], scope["path"]

    here = ("127.0.0.1", 8000)
    assert told() == (b"a", here, "", "/cart")
    assert told(forwarded_host=True) == (b"example.org", ("example.org", 443), "", "/cart")
    assert told(forwarded_port=True) == (b"a:8443", ("a", 8443), "", "/cart")
    assert told(forwarded_prefix=True) == (b"a", here, "/shop", "/shop/cart")
    assert told(**OPT_IN) == (b"example.org:8443", ("example.org", 8443), "/shop", "/shop/cart")


def test_the_host_of_forwarded_counts_only_where_it_is_asked_for() -> None:
    field = "Forwarded: for=203.0.113.9;host=example.org;proto=https"
    for asked, host in ((False, b"a"), (True, b"example.org")):
        scope = scope_of(field, proxy_headers="forwarded", forwarded_host=asked)
        assert (dict(scope["headers"])[b"host"], scope["scheme"]) == (host, "https")


@pytest.mark.parametrize("family", [X_FORWARDED, FORWARDED])
@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(("host", "served"), [("evil.test", False), ("shop.test", True), ("SHOP.test:8443", True)])
def test_server_names_hold_for_the_host_that_a_proxy_names(
    family: str, websocket: bool, host: str, served: bool
) -> None:
    app = Answers()
    names = ["a", "shop.test"]
    options = {"server_names": names, "forwarded_host": True, "trusted_proxies": TRUSTED, "health_path": "/health"}
    server = MemoryServer(app, config(proxy_headers=family, **options))
    fields = (f"X-Forwarded-Host: {host}", f'Forwarded: host="{host}"')
    if websocket:
        fields += ("Upgrade: websocket", "Connection: upgrade", "Sec-WebSocket-Version: 13")  # type: ignore[assignment]
        fields += ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",)  # type: ignore[assignment]
    for target in ("/", "/health") if not websocket else ("/",):
        client = server.connect(client=PROXY)
        client.send(request(target, *fields))
        assert (b" 404 " not in client.received()[:20]) is served
    assert len(app.scopes) == served
    assert [entry.status for entry in server.log.access if entry.status == 404] == [404] * (
        0 if served else 1 if websocket else 2
    )


def test_server_names_hold_for_the_host_that_the_proxy_asks_with_too() -> None:
    server = MemoryServer(Answers(), config(server_names=["b"], forwarded_host=True, trusted_proxies=TRUSTED))
    client = server.connect(client=PROXY)
    client.send(request("/", "X-Forwarded-Host: b"))
    assert response(client).status == 404


def test_x_forwarded_of_a_trusted_proxy() -> None:
    scope = scope_of(*ALL, target="/cart?x=1", **OPT_IN)
    assert scope["client"] == (ATTACKER, 0)
    assert scope["scheme"] == "https"
    assert scope["server"] == ("example.org", 8443)
    assert dict(scope["headers"])[b"host"] == b"example.org:8443"
    assert (scope["root_path"], scope["path"], scope["raw_path"]) == ("/shop", "/shop/cart", b"/shop/cart")
    assert scope["query_string"] == b"x=1"


@pytest.mark.parametrize(
    ("value", "client"),
    [
        ("203.0.113.9", (ATTACKER, 0)),
        ("203.0.113.9:4711", (ATTACKER, 4711)),
        ("[2001:db8::1]:4711", ("2001:db8::1", 4711)),
        ("2001:db8::1", ("2001:db8::1", 0)),
        ("::ffff:203.0.113.9", (ATTACKER, 0)),
        ("1.1.1.1, 203.0.113.9, 10.9.9.9", (ATTACKER, 0)),
        ("10.1.1.1, 10.2.2.2", ("10.1.1.1", 0)),
        ("unknown", PROXY),
        ("203.0.113.9, _hidden, 10.2.2.2", ("10.2.2.2", 0)),
        ("", PROXY),
        (",,,", PROXY),
        ("999.1.1.1", PROXY),
        ("fe80::1%eth0", PROXY),
        ("203.0.113.9:99999", (ATTACKER, 0)),
    ],
)
def test_clients_in_x_forwarded_for(value: str, client: Any) -> None:
    assert scope_of(f"X-Forwarded-For: {value}")["client"] == client


@pytest.mark.parametrize(
    ("value", "client", "scheme"),
    [
        ("for=203.0.113.9;proto=https;by=10.0.0.1", (ATTACKER, 0), "https"),
        ('For="[2001:db8::1]:4711"; Proto=HTTPS', ("2001:db8::1", 4711), "https"),
        ("for=1.1.1.1;proto=http, for=203.0.113.9;proto=https, for=10.2.2.2", (ATTACKER, 0), "https"),
        ('for="203.0.113.9:99"', (ATTACKER, 99), "http"),
        ('for="_hidden";proto=https', PROXY, "https"),
        ("for=unknown", PROXY, "http"),
        ("for=203.0.113.9;;", (ATTACKER, 0), "http"),
        ("for=203.0.113.9;x", PROXY, "http"),
        ('for="203.0.113.9', PROXY, "http"),
        ('for="\\", for=203.0.113.9;proto=https', (ATTACKER, 0), "https"),
    ],
)
def test_forwarded(value: str, client: Any, scheme: str) -> None:
    scope = scope_of(f"Forwarded: {value}", proxy_headers="forwarded")
    assert scope["client"] == client
    assert scope["scheme"] == scheme


def test_repeated_fields_are_one_list_in_order() -> None:
    scope = scope_of("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 10.2.2.2")
    assert scope["client"] == (ATTACKER, 0)


def test_only_one_family_counts() -> None:
    both = ("Forwarded: for=1.1.1.1;host=evil", "X-Forwarded-For: 203.0.113.9")
    scope = scope_of(*both)
    assert scope["client"] == (ATTACKER, 0)
    assert dict(scope["headers"])[b"host"] == b"a"
    assert scope_of(*both, proxy_headers="forwarded")["client"] == ("1.1.1.1", 0)


@pytest.mark.parametrize(("proto", "scheme"), [("https", "wss"), ("wss", "wss"), ("http", "ws"), ("ftp", "ws")])
def test_schemes_of_websockets(proto: str, scheme: str) -> None:
    scope = scope_of(f"X-Forwarded-Proto: {proto}", "X-Forwarded-For: 203.0.113.9", websocket=True)
    assert scope["type"] == "websocket"
    assert scope["scheme"] == scheme
    assert scope["client"] == (ATTACKER, 0)


@pytest.mark.parametrize(
    "field",
    [
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: exa mple",
        "X-Forwarded-Host: a/b",
        "X-Forwarded-Port: 0",
        "X-Forwarded-Port: 99999999999",
        "X-Forwarded-Prefix: //evil",
        "X-Forwarded-Prefix: /../etc",
        "X-Forwarded-Prefix: nothing",
    ],
)
def test_what_is_malformed_is_left_alone(field: str) -> None:
    plain = scope_of(**OPT_IN)
    scope = scope_of(field, **OPT_IN)
    for name in ("client", "scheme", "server", "root_path", "path", "raw_path"):
        assert scope[name] == plain[name]
    assert dict(scope["headers"])[b"host"] == b"a"


@pytest.mark.parametrize(
    ("peer", "trusted", "believed"),
    [
        (("10.0.0.1", 1), ["10.0.0.0/8"], True),
        (("::ffff:10.0.0.1", 1), ["10.0.0.0/8"], True),
        (("11.0.0.1", 1), ["10.0.0.0/8"], False),
        (("fd00::5", 1), ["fd00::/8"], True),
        (("fe80::5%eth0", 1), ["fe80::/10"], True),
        (None, ["unix"], True),
        (None, ["127.0.0.1"], False),
        (("8.8.8.8", 1), ["*"], True),
        (("10.0.0.1", 1), [], False),
    ],
)
def test_who_is_trusted(peer: Any, trusted: list[str], believed: bool) -> None:
    scope = scope_of("X-Forwarded-For: 203.0.113.9", peer=peer, trusted_proxies=trusted)
    assert scope["client"] == ((ATTACKER, 0) if believed else peer)


def test_access_records_show_the_client() -> None:
    server = MemoryServer(Answers(), config(trusted_proxies=TRUSTED, max_body_size=1))
    client = server.connect(client=PROXY)
    client.send(request("/", "X-Forwarded-For: 203.0.113.9"))
    client.send(request("/", "X-Forwarded-For: 203.0.113.9", body=b"long", method="POST"))
    assert [(entry.status, entry.scope["client"]) for entry in server.log.access] == [
        (200, (ATTACKER, 0)),
        (413, (ATTACKER, 0)),
    ]


def test_a_wrong_network_is_named() -> None:
    with pytest.raises(ConfigError, match="trusted_proxies"):
        config(trusted_proxies=["10.0.0.0/33"])


def test_without_trusted_proxies_nothing_is_read() -> None:
    server = MemoryServer(Answers())
    assert server.context.gate is None
    client = server.connect()
    client.send(GET)
    assert response(client).status == 200


# -- what a client can write

ADDRESSES = st.ip_addresses(v=4).map(str) | st.ip_addresses(v=6).map(str)
NOISE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
LISTS = st.lists(ADDRESSES | NOISE | st.sampled_from(TRUSTED + ["10.0.0.1", "unknown", '"', "\\", ";", "for="]))
NAMES = st.sampled_from(
    ["X-Forwarded-For", "Forwarded", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Prefix"]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NAMES, LISTS.map(", ".join)), max_size=6), st.sampled_from([X_FORWARDED, FORWARDED]))
def test_an_untrusted_peer_changes_nothing(fields: list[tuple[str, str]], family: str) -> None:
    lines = [f"{name}: {value}" for name, value in fields]
    scope = scope_of(*lines, peer=(ATTACKER, 1), proxy_headers=family)
    assert scope["client"] == (ATTACKER, 1)
    assert scope["scheme"] == "http"
    assert scope["server"] == ("127.0.0.1", 8000)
    assert (scope["path"], scope["root_path"]) == ("/", "")


@settings(max_examples=300, deadline=None)
@given(LISTS.map(", ".join), LISTS.map(", ".join), st.booleans())
def test_a_client_behind_a_proxy_stays_who_it_is(claimed: str, other: str, own_line: bool) -> None:
    """Whatever it claims: the proxy appends its address, to the same field or in one of its own."""
    trusted = TrustedProxies(TRUSTED)
    for family, name, ours in (
        (X_FORWARDED, b"x-forwarded-for", ATTACKER),
        (FORWARDED, b"forwarded", f"for={ATTACKER};proto=https"),
    ):
        headers = [(b"x-forwarded-proto", other.encode()), (b"x-forwarded-host", other.encode())]
        if own_line:
            headers += [(name, claimed.encode()), (name, ours.encode())]
        else:
            headers.append((name, f"{claimed}, {ours}".encode()))
        assert ProxyHeaders(trusted, family).origin(headers, PROXY).client == (ATTACKER, 0)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_the_grammar_raises_nothing(text: str) -> None:
    parse_node(text)
    for element in elements_from_right(text):
        read_pairs(element)
