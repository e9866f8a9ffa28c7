"""ProxyFixMiddleware: what a proxy says, and whom it is believed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.middleware.asking import Seen, ask, upgrade

from hypercorn.middleware import ProxyFixMiddleware
from hypercorn.middleware.proxy_fix import node, parse_forwarded


def scope_of(*fields: str, client: Any = ("127.0.0.1", 80), **options: Any) -> Any:
    app = Seen()
    ask(ProxyFixMiddleware(app, **options), "/", *fields, client=client)
    return app.scope


def host_of(scope: Any) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == b"host"]


HOST = {"forwarded_host": True}


def test_legacy() -> None:
    scope = scope_of(
        "X-Forwarded-For: 9.9.9.9, 1.1.1.1",
        "X-Forwarded-For: 2.2.2.2:99",
        "X-Forwarded-Proto: http, https",
        "X-Forwarded-Host: evil, example.com:8",
        **HOST,
    )
    assert scope["client"] == ("2.2.2.2", 99)
    assert scope["scheme"] == "https"
    assert host_of(scope) == [b"example.com:8"]


@pytest.mark.parametrize(("hops", "client"), [(1, "2.2.2.2"), (2, "1.1.1.1"), (3, "9.9.9.9"), (4, "127.0.0.1")])
def test_hops(hops: int, client: str) -> None:
    fields = "X-Forwarded-For: 9.9.9.9, 1.1.1.1, 2.2.2.2"
    assert scope_of(fields, trusted_hops=hops)["client"][0] == client
    elements = "Forwarded: for=9.9.9.9, for=1.1.1.1, for=2.2.2.2"
    assert scope_of(elements, mode="modern", trusted_hops=hops)["client"][0] == client


@pytest.mark.parametrize("mode", ["legacy", "modern"])
@pytest.mark.parametrize("forwarded", [False, True])
def test_nothing_else_counts_unless_it_is_asked_for(mode: Any, forwarded: bool) -> None:
    """A proxy passes on what it does not set itself, so a client could name its host and path."""
    fields = ("X-Forwarded-Host: evil.test", "X-Forwarded-Port: 66", "X-Forwarded-Prefix: /admin")
    more = ("Forwarded: for=1.1.1.1;proto=https;host=evil.test",) if forwarded else ()
    plain = scope_of(mode=mode)
    scope = scope_of(*fields, *more, mode=mode)
    for name in ("server", "path", "raw_path", "root_path"):
        assert scope[name] == plain[name]
    assert host_of(scope) == [b"localhost"]


@pytest.mark.parametrize("mode", ["legacy", "modern"])
@pytest.mark.parametrize(
    ("asked", "host", "server", "root_path", "path"),
    [
        ("forwarded_host", b"example.com", ("example.com", 443), "", "/"),
        ("forwarded_port", b"localhost:66", ("localhost", 66), "", "/"),
        ("forwarded_prefix", b"localhost", None, "/shop", "/shop/"),
    ],
)
def test_each_of_the_others_is_asked_for_by_itself(
    mode: Any, asked: str, host: bytes, server: Any, root_path: str, path: str
) -> None:
    fields = ("X-Forwarded-Proto: https", "X-Forwarded-Host: example.com")
    more = ("X-Forwarded-Port: 7, 66", "X-Forwarded-Prefix: /evil, /shop")
    scope = scope_of(*fields, *more, mode=mode, **{asked: True})
    assert host_of(scope) == [host]
    assert scope["server"] == (server or scope_of()["server"])
    assert (scope["root_path"], scope["path"]) == (root_path, path)
    assert scope["raw_path"] == path.encode()


def test_all_together() -> None:
    fields = ("X-Forwarded-Host: example.com:8", "X-Forwarded-Port: 66", "X-Forwarded-Prefix: /shop/")
    scope = scope_of(*fields, forwarded_host=True, forwarded_port=True, forwarded_prefix=True)
    assert (host_of(scope), scope["server"]) == ([b"example.com:66"], ("example.com", 66))
    assert (scope["root_path"], scope["path"]) == ("/shop", "/shop/")
    for port in ("0", "65536", "-1", "x", "99999999999999999999"):
        assert host_of(scope_of(f"X-Forwarded-Port: {port}", forwarded_port=True)) == [b"localhost"]


def test_0_18s_arguments_still_go_by_place() -> None:
    app = Seen()
    ask(ProxyFixMiddleware(app, "modern", 2), "/", "Forwarded: for=1.1.1.1, for=2.2.2.2")
    assert app.scope["client"] == ("1.1.1.1", 0)


def test_none_is_trusted() -> None:
    scope = scope_of("X-Forwarded-For: 2.2.2.2", "X-Forwarded-Proto: https", trusted_hops=0)
    assert (scope["client"], scope["scheme"]) == (("127.0.0.1", 80), "http")


def test_modern() -> None:
    """Q-M-3: spaces, case, quotes, ports, IPv6."""
    scope = scope_of(
        'Forwarded: for=9.9.9.9;host="a, b";proto=http',
        'Forwarded: For="[2001:db8::1]:4711" ; HOST="example.com:8" ;Proto=https;by=_x',
        mode="modern",
        **HOST,
    )
    assert scope["client"] == ("2001:db8::1", 4711)
    assert scope["scheme"] == "https"
    assert host_of(scope) == [b"example.com:8"]
    assert scope_of("X-Forwarded-For: 2.2.2.2", mode="modern")["client"] == ("2.2.2.2", 0)
    both = scope_of("X-Forwarded-For: 2.2.2.2", "Forwarded: proto=https", mode="modern")
    assert (both["client"][0], both["scheme"]) == ("127.0.0.1", "https")


@pytest.mark.parametrize(
    ("text", "elements"),
    [
        ("", []),
        (" , ;", []),
        ("for=a", [{"for": "a"}]),
        ("for=a,, for=b;", [{"for": "a"}, {"for": "b"}]),
        ('for="a,b;c=\\"d"', [{"for": 'a,b;c="d'}]),
        ("for=a;for=b", [{"for": "a"}]),
        ('for="a', []),
        ("for", []),
        ("for=a b", []),
        ("for=a for=b", []),
    ],
)
def test_forwarded(text: str, elements: list[dict[str, str]]) -> None:
    assert parse_forwarded(text) == elements


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4", ("1.2.3.4", 0)),
        ("1.2.3.4:80", ("1.2.3.4", 80)),
        ("::1", ("::1", 0)),
        ("[::1]", ("::1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("unknown", ("unknown", 0)),
        ("_hidden:_x", ("_hidden", 0)),
        ("1.2.3.4:99999", ("1.2.3.4", 0)),
    ],
)
def test_nodes(text: str, address: tuple[str, int]) -> None:
    assert node(text) == address


def test_what_makes_no_sense_is_left_out() -> None:
    scope = scope_of("X-Forwarded-Proto: javascript", "X-Forwarded-Host: a/b@c", **HOST)
    assert (scope["scheme"], host_of(scope)) == ("http", [b"localhost"])


def test_websockets_are_wss() -> None:
    """Q-M-3."""
    app = Seen()
    ask(ProxyFixMiddleware(app), "/", *upgrade("X-Forwarded-Proto: https"))
    assert app.scope["scheme"] == "wss"
    ask(ProxyFixMiddleware(app), "/", *upgrade("X-Forwarded-Proto: http"), scheme="https")
    assert app.scope["scheme"] == "ws"


@pytest.mark.parametrize(
    ("hosts", "client", "trusted"),
    [
        (None, ("8.8.8.8", 1), True),
        (None, None, True),
        (["10.0.0.0/8"], ("10.1.2.3", 1), True),
        (["10.0.0.0/8"], ("::ffff:10.1.2.3", 1), True),
        (["10.0.0.0/8"], ("11.1.2.3", 1), False),
        (["10.0.0.0/8"], None, False),
        (["10.0.0.0/8", "unix"], None, True),
        (["fe80::/10"], ("fe80::1%eth0", 1), True),
        (["fe80::/10"], ("testclient", 1), False),
        ([], ("127.0.0.1", 1), False),
    ],
)
def test_trusted_hosts(hosts: Any, client: Any, trusted: bool) -> None:
    scope = scope_of("X-Forwarded-Proto: https", client=client, trusted_hosts=hosts)
    assert (scope["scheme"] == "https") is trusted


def test_a_wrong_mode() -> None:
    with pytest.raises(ValueError, match="mode must be"):
        ProxyFixMiddleware(Seen(), mode="other")  # type: ignore[arg-type]


def test_state_is_shared_and_the_log_shows_the_client() -> None:
    """Q-M-4, Q-M-5."""
    from hypercorn.testing import MemoryServer

    app = Seen()
    lock = threading.Lock()
    server = MemoryServer(ProxyFixMiddleware(app))
    server.context.state["lock"] = lock
    peer = server.connect()
    peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 2.2.2.2\r\n\r\n")
    assert app.scope["state"]["lock"] is lock
    assert peer.access[0].scope["client"] == ("2.2.2.2", 0)
