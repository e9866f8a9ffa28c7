"""Addresses as users write them, and as ASGI and logs want them."""

from __future__ import annotations

import socket

import pytest

from hypercorn.net import address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:443", "127.0.0.1", 443),
        ("127.0.0.1", "127.0.0.1", 8000),
        ("localhost:0", "localhost", 0),
        ("example.org", "example.org", 8000),
        (":9000", "", 9000),
        ("[::1]:443", "::1", 443),
        ("[::1]", "::1", 8000),
        ("[::]", "::", 8000),
        ("::1", "::1", 8000),
        ("::", "::", 8000),
        ("8001", "127.0.0.1", 8001),
        (":::9000", "::", 9000),
        ("::1:443", "::1", 443),
        ("2001:db8:0:0:0:0:0:1", "2001:db8:0:0:0:0:0:1", 8000),
        ("[fe80::1%eth0]:80", "fe80::1%eth0", 80),
    ],
)
def test_tcp_binds(text: str, host: str, port: int) -> None:
    bind = address.parse_bind(text)
    assert (bind.kind, bind.host, bind.port) == ("tcp", host, port)


def test_unix_and_fd_binds() -> None:
    assert address.parse_bind("unix:/run/a.sock").path == "/run/a.sock"
    assert address.parse_bind("fd://3").fd == 3


@pytest.mark.parametrize(
    "text",
    [
        "localhost:port",
        "localhost:70000",
        "localhost:-1",
        "localhost:",
        "[::1",
        "[localhost]:80",
        "[::1]80",
        "unix:",
        "fd://x",
        "1:2:3",
        "70000",
    ],
)
def test_wrong_binds(text: str) -> None:
    with pytest.raises(ValueError):
        address.parse_bind(text)


@pytest.mark.parametrize(
    ("name", "client", "server", "text"),
    [
        (("127.0.0.1", 80), ("127.0.0.1", 80), ("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), ("::1", 80), ("::1", 80), "[::1]:80"),
        ("/run/a.sock", None, ("/run/a.sock", None), "unix:/run/a.sock"),
        (b"/run/\xff", None, ("/run/\udcff", None), "unix:/run/\udcff"),
        ("", None, None, ""),
        (None, None, None, "None"),
    ],
)
def test_names_of_sockets(name: object, client: object, server: object, text: str) -> None:
    assert address.client_address(name) == client
    assert address.server_address(name) == server
    assert address.address_text(name) == text
    assert address.url("https", name) == f"https://{text}"


def test_functions_of_earlier_releases() -> None:
    assert address.parse_socket_addr(socket.AF_INET6, ("::1", 1, 0, 0)) == ("::1", 1)
    assert address.parse_socket_addr(socket.AF_UNIX, "/a") is None
    assert address.repr_socket_addr(socket.AF_INET, ("127.0.0.1", 5000)) == "127.0.0.1:5000"
    assert address.repr_socket_addr(socket.AF_INET6, ("::1", 5000, 0, 0)) == "[::1]:5000"
    assert address.repr_socket_addr(socket.AF_UNIX, "/a") == "unix:/a"


def test_abstract_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    assert address.parse_bind("unix:@a").path == "@a"
    assert address.unix_address("@a") == b"\0a"
    assert address.unix_address("./@a") == "./@a"
    assert address.address_text(b"\0a") == "unix:@a"
    assert address.server_address(b"\0a") == ("@a", None)
    for name in ("@", "@" + "a" * 108):
        with pytest.raises(ValueError, match="has no name of 1 to 107 bytes"):
            address.parse_bind(f"unix:{name}")
    address.parse_bind("unix:@" + "a" * 107)
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(
        ValueError, match=r"^'unix:@a' is an abstract socket, which only Linux has; a file is unix:\./@a$"
    ):
        address.parse_bind("unix:@a")
