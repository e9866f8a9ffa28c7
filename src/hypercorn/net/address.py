"""Addresses: how users write them, how the system returns them, how ASGI and logs want them."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from typing import Any, NamedTuple

DEFAULT_PORT = 8000
LOOPBACK = "127.0.0.1"
InternetAddress = tuple[str, int] | tuple[str, int, int, int]  # of a socket of IPv4, of IPv6


class Bind(NamedTuple):
    """One parsed bind: `kind` is "tcp" (host, port), "unix" (path) or "fd" (fd)."""

    kind: str
    host: str = ""
    port: int = DEFAULT_PORT
    path: str = ""
    fd: int = -1

    @property
    def text(self) -> str:
        """The bind in its full form, as error messages show it."""
        if self.kind == "unix":
            return f"unix:{self.path}"
        if self.kind == "fd":
            return f"fd://{self.fd}"
        return join_host_port(self.host, self.port)


def is_ipv6(text: str) -> bool:
    """True for an IPv6 address without brackets; a zone (`%eth0`) may follow it."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def is_ip(text: str) -> bool:
    """True for an IPv4 or IPv6 address without a zone, which needs no name lookup."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _port(text: str, bind: str) -> int:
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise ValueError(f"{bind!r} has no port from 0 to 65535")
    return int(text)


def parse_bind(text: str) -> Bind:
    """Reads `host`, `host:port`, `port`, `::1`, `[::1]`, `[::1]:port`, `unix:path`, `unix:@name` or `fd://number`.

    A port alone is one of this machine's loopback address, as it is with Django's runserver.
    Where a text can be read both as an IPv6 address and as address and port (`::1:443`), it is address and
    port, as it always was; brackets say which is meant. Raises ValueError.
    """
    if text.startswith("unix:"):
        if len(text) == 5:
            raise ValueError("a unix bind needs a path")
        if text.startswith("unix:@"):
            _check_abstract(text)
        return Bind("unix", path=text[5:])
    if text.startswith("fd://"):
        if not text[5:].isdigit():
            raise ValueError(f"{text!r} has no file descriptor number")
        return Bind("fd", fd=int(text[5:]))
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not is_ipv6(host) or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not an IPv6 address in brackets")
        return Bind("tcp", host, _port(rest[1:], text) if rest else DEFAULT_PORT)
    host, colon, port = text.rpartition(":")
    if ":" in host and not is_ipv6(host):
        if not is_ipv6(text):
            raise ValueError(f"{text!r} is not an address")
        return Bind("tcp", text)
    if not colon:
        alone = text.isascii() and text.isdigit()
        return Bind("tcp", LOOPBACK, _port(text, text)) if alone else Bind("tcp", text)
    return Bind("tcp", host, _port(port, text))


def _check_abstract(text: str) -> None:
    if not sys.platform.startswith("linux"):
        raise ValueError(f"{text!r} is an abstract socket, which only Linux has; a file is unix:./{text[5:]}")
    if not 1 < len(os.fsencode(text[5:])) <= 108:  # sun_path, of which the @ stands for the first byte
        raise ValueError(f"{text!r} has no name of 1 to 107 bytes")


def unix_address(path: str) -> str | bytes:
    """The address of a unix socket as the system takes it: `@name` is an abstract one (unix(7)), without a file."""
    return b"\0" + os.fsencode(path[1:]) if path.startswith("@") else path


def unix_text(address: str | bytes) -> str:
    """The path of a unix socket as users write it, from what the system returns."""
    text = os.fsdecode(address)
    return "@" + text[1:] if text.startswith("\0") else text


def join_host_port(host: str, port: int) -> str:
    """`127.0.0.1:80`, `[::1]:80`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def client_address(peername: object) -> tuple[str, int] | None:
    """ASGI's `client`: host and port of the peer; None for a unix socket or an unknown peer."""
    if isinstance(peername, (tuple, list)) and len(peername) >= 2:
        return (peername[0], peername[1])
    return None


def server_address(sockname: object) -> tuple[str, int | None] | None:
    """ASGI's `server`: host and port, or path and None for a unix socket; None if unknown."""
    if isinstance(sockname, (tuple, list)) and len(sockname) >= 2:
        return (sockname[0], sockname[1])
    if isinstance(sockname, (str, bytes)) and sockname:
        return (unix_text(sockname), None)
    return None


def address_text(sockname: object) -> str:
    """An address that `getsockname()` returned, as text: `127.0.0.1:80`, `[::1]:80`, `unix:/path`."""
    address = server_address(sockname)
    if address is None:
        return str(sockname)
    host, port = address
    return f"unix:{host}" if port is None else join_host_port(host, port)


def url(scheme: str, sockname: object) -> str:
    """The address of a listening socket as the banner shows it: `http://[::1]:8000`, `http://unix:/path`."""
    return f"{scheme}://{address_text(sockname)}"


def parse_socket_addr(family: int, address: object) -> tuple[str, int] | None:
    """Host and port of an address of `family`; None where the family has none. Kept for callers of 0.18."""
    return client_address(address) if family in (socket.AF_INET, socket.AF_INET6) else None


def repr_socket_addr(family: int, address: Any) -> str:
    """An address of `family` as text. Kept for callers of 0.18."""
    if family == socket.AF_INET:
        return f"{address[0]}:{address[1]}"
    if family == socket.AF_INET6:
        return f"[{address[0]}]:{address[1]}"
    if family == getattr(socket, "AF_UNIX", None):
        return f"unix:{unix_text(address)}"
    return f"{address}"
