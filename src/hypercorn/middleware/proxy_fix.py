"""Puts what a trusted proxy says of a request in the place of what its connection says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from hypercorn.asgi.messages import Receive, Scope, Send
from hypercorn.middleware.answers import App, Headers, listed
from hypercorn.net.proxies import (
    Client,
    Origin,
    TrustedProxies,
    elements_from_right,
    parse_node,
    read_host,
    read_pairs,
    read_port,
    read_prefix,
    set_host,
    set_prefix,
)

SCHEMES = ("http", "https")


class ProxyFixMiddleware:
    """Sets client and scheme, and where asked for host, port and path, as a proxy tells them.

    mode: "legacy" reads X-Forwarded-For and -Proto, "modern" reads Forwarded (RFC 7239) and, where that is missing,
        the others
    trusted_hops: proxies that each add a member to these fields; the member of the outermost of them is taken, and
        0 trusts none
    trusted_hosts: addresses and networks of the proxies ("10.0.0.0/8"), and "unix" for those behind a unix socket; a
        request from elsewhere is left as it is. None: every peer is a proxy
    forwarded_host: the host is that of X-Forwarded-Host, or the host of Forwarded
    forwarded_port: the port of the host is that of X-Forwarded-Port
    forwarded_prefix: root_path begins with X-Forwarded-Prefix

    Switch on only what every proxy sets in each request: a field that it passes on is the client's.
    """

    def __init__(
        self,
        app: App,
        mode: Literal["legacy", "modern"] = "legacy",
        trusted_hops: int = 1,
        trusted_hosts: Iterable[str] | None = None,
        *,
        forwarded_host: bool = False,
        forwarded_port: bool = False,
        forwarded_prefix: bool = False,
    ) -> None:
        if mode not in ("legacy", "modern"):
            raise ValueError(f"mode must be 'legacy' or 'modern', not {mode!r}")
        self.app = app
        self.mode = mode
        self.trusted_hops = trusted_hops
        self.forwarded_host = forwarded_host
        self.forwarded_port = forwarded_port
        self.forwarded_prefix = forwarded_prefix
        self.proxies = TrustedProxies(["*"] if trusted_hosts is None else trusted_hosts)

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Handles one call of the server (ASGI)."""
        concerned = scope["type"] in ("http", "websocket") and self.trusted_hops > 0
        if concerned and self.proxies.trusts(scope.get("client")):
            scope = self.fixed(scope)
        await self.app(scope, receive, send)

    def fixed(self, scope: Scope) -> Scope:
        """The scope as the proxy sees it: a copy, but for the client, which the access log shows too."""
        headers = scope["headers"]
        client, scheme, host = self.modern(headers) if self.mode == "modern" else (None, None, None)
        origin = Origin(None)
        if self.mode == "legacy" or not any(key.lower() == b"forwarded" for key, _ in headers):
            client = self.hop(listed(headers, b"x-forwarded-for"))
            scheme = self.hop(listed(headers, b"x-forwarded-proto"))
            host = self.hop(listed(headers, b"x-forwarded-host"))
            if self.forwarded_port:
                origin.port = read_port(self.hop(listed(headers, b"x-forwarded-port")) or "")
            if self.forwarded_prefix:
                origin.prefix = read_prefix(self.hop(listed(headers, b"x-forwarded-prefix")) or "")
        if self.forwarded_host and host:
            origin.host, port = read_host(host)
            origin.port = origin.port or port
        if client:
            scope["client"] = node(client)
        scope = dict(scope)
        if scheme and scheme.lower() in SCHEMES:
            scope["scheme"] = scheme.lower()
            if scope["type"] == "websocket":
                scope["scheme"] = "wss" if scheme.lower() == "https" else "ws"
        if origin.host is not None or origin.port is not None:
            set_host(scope, origin)
        if origin.prefix is not None:
            set_prefix(scope, origin.prefix)
        return scope

    def hop(self, members: list[str]) -> str | None:
        """The member that the outermost trusted proxy added; None where there are fewer."""
        return members[-self.trusted_hops] if len(members) >= self.trusted_hops else None

    def modern(self, headers: Headers) -> tuple[str | None, str | None, str | None]:
        """The `for`, `proto` and `host` of the element that the outermost trusted proxy added."""
        text = ",".join(value.decode("latin-1") for key, value in headers if key.lower() == b"forwarded")
        elements = parse_forwarded(text)
        if len(elements) < self.trusted_hops:
            return None, None, None
        element = elements[-self.trusted_hops]
        return element.get("for"), element.get("proto"), element.get("host")


def parse_forwarded(text: str) -> list[dict[str, str]]:
    """The elements of a `Forwarded` field, names in lower case and values without their quotes. Nothing at all where
    a part of it cannot be read: which element is whose would be a guess."""
    elements = [read_pairs(element) for element in elements_from_right(text)]
    if None in elements:
        return []
    return [element for element in reversed(elements) if element]


def node(text: str) -> Client:
    """Address and port of a node (RFC 7239 section 6): `1.2.3.4`, `1.2.3.4:80`, `[::1]:80`, and `::1` as others write
    it; "unknown" and obfuscated names as they are. The port is 0 where it is not told."""
    return parse_node(text) or (text.partition(":")[0], 0)
