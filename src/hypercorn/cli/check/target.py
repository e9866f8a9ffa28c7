"""The URL that is checked, in its parts."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import quote, urlsplit

SCHEMES = {"http": 80, "https": 443, "ws": 80, "wss": 443}
PATH_CHARACTERS = "/:@!$&'()*+,;=%?~"  # what a path and a query keep as it is (RFC 3986 section 3.3)


class Target(NamedTuple):
    """A URL of http, https, ws or wss.

    authority: the host as requests name it, with the port where that is not the scheme's own
    path: the request target, with its query
    """

    url: str
    scheme: str
    host: str
    port: int
    authority: str
    path: str

    @property
    def secure(self) -> bool:
        """Whether TLS carries it."""
        return self.scheme in ("https", "wss")

    @property
    def websocket(self) -> bool:
        """Whether it is a WebSocket's."""
        return self.scheme in ("ws", "wss")


def parse_target(url: str) -> Target:
    """The parts of a URL. Raises ValueError, which says what to write."""
    if "://" not in url:
        raise ValueError(f"{url!r} is no URL: write its scheme too, such as https://{url}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in SCHEMES:
        raise ValueError(f"{url!r}: the scheme is {parts.scheme!r}; it can be {', '.join(SCHEMES)}")
    if not parts.hostname:
        raise ValueError(f"{url!r} has no host")
    if any(character <= " " or character == "\x7f" for character in url):
        raise ValueError(
            f"{url!r} has a space or a control character; write it as a percent and two digits, such as %20"
        )
    try:
        host = parts.hostname.encode("idna").decode("ascii") if not parts.hostname.isascii() else parts.hostname
    except UnicodeError as error:
        raise ValueError(f"{url!r}: no host name: {error}") from None
    shown = f"[{host}]" if ":" in host else host
    default = SCHEMES[parts.scheme]
    number = default if port is None else port
    if not number:
        raise ValueError(f"{url!r}: nothing can be reached on port 0")
    authority = shown if number == default else f"{shown}:{number}"
    path = quote(parts.path or "/", PATH_CHARACTERS)
    if parts.query:
        path += "?" + quote(parts.query, PATH_CHARACTERS)
    return Target(url, parts.scheme, host, number, authority, path)
