"""The client of a request that came through proxies: X-Forwarded-* and RFC 7239's Forwarded.

Only what trusted proxies wrote counts. Each appends what it saw, so the list is walked from its right end: the first
address that is no trusted proxy's is the client, and everything to the left of it is what the client claims. What is
malformed is left alone; nothing here raises because of a request.

The host, the port and the prefix count only where an option asks for them: proxies that set X-Forwarded-For pass the
other fields on as their client sent them, unless they are told otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

X_FORWARDED = "x-forwarded"
FORWARDED = "forwarded"
Scope = dict[str, Any]  # of ASGI
HOPS = 32  # proxies in a row at the most
CACHED = 1024  # addresses whose verdict is remembered
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
_HOST = re.compile(r"([A-Za-z0-9._~-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+;=:@-]+)+")
_PAIR = re.compile(r'[ \t]*(?:([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;=]+)))?[ \t]*')
_ALWAYS = frozenset(("for", "proto"))

Client = tuple[str, int]
Headers = Iterable[tuple[bytes, bytes]]


def parse_trusted(text: str) -> IPv4Network | IPv6Network | str:
    """An address, a network, "unix" or "*" (everybody). Raises ValueError for anything else."""
    return text if text in ("unix", "*") else ip_network(text, strict=False)


class TrustedProxies:
    """The peers whose word about a client is taken."""

    def __init__(self, names: Iterable[str]) -> None:
        parsed = [parse_trusted(name) for name in names]
        self.everybody = "*" in parsed
        self.unix = self.everybody or "unix" in parsed
        self.networks = [one for one in parsed if not isinstance(one, str)]
        self.verdicts: dict[str, bool] = {}

    def trusts(self, client: Client | None) -> bool:
        """True where the peer of a connection (None: of a unix socket) is one of them."""
        if client is None:
            return self.unix
        host = client[0]
        verdict = self.verdicts.get(host)
        if verdict is None:
            verdict = self.everybody or self.judge(host)
            if len(self.verdicts) >= CACHED:
                self.verdicts.clear()
            self.verdicts[host] = verdict
        return verdict

    def judge(self, host: str) -> bool:
        """The verdict on an address."""
        try:
            address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        return any(address in network for network in self.networks)


@dataclass
class Origin:
    """The facts that proxies forwarded about a request; None where there are none."""

    client: Client | None
    scheme: str | None = None
    host: str | None = None
    port: int | None = None
    prefix: str | None = None


class ProxyHeaders:
    """Reads the fields of one family, `x-forwarded` or `forwarded`, from the requests of trusted peers.

    wanted: what else counts than the client's address and the scheme: "host", "port", "prefix"
    """

    def __init__(self, trusted: TrustedProxies, family: str, wanted: Iterable[str] = ()) -> None:
        self.trusted = trusted
        self.wanted = _ALWAYS.union(wanted)
        self.fields = {f"x-forwarded-{name}".encode(): name for name in self.wanted}
        self.moves_host = "host" in self.wanted or "port" in self.wanted
        self.origin = self.from_forwarded if family == FORWARDED else self.from_x_forwarded

    def from_x_forwarded(self, headers: Headers, client: Client | None) -> Origin:
        """The X-Forwarded-* fields of a request from the trusted peer `client`."""
        found: dict[str, str] = {}
        for name, value in headers:
            field = self.fields.get(name) or self.fields.get(name.lower())
            if field is not None:
                text = value.decode("latin-1")
                found[field] = f"{found[field]},{text}" if field in found else text
        origin = Origin(client)
        hops = 0
        for item in reversed(found["for"].split(",") if "for" in found else ()):
            node = parse_node(item.strip(" \t"))
            hops += 1
            if node is None or hops > HOPS:
                break
            origin.client = node
            if not self.trusted.trusts(node):
                break
        hops = max(hops, 1)
        origin.scheme = read_scheme(at_hop(found.get("proto"), hops))
        origin.host, origin.port = read_host(at_hop(found.get("host"), hops))
        origin.port = read_port(at_hop(found.get("port"), hops)) or origin.port
        origin.prefix = read_prefix(at_hop(found.get("prefix"), hops))
        return origin

    def from_forwarded(self, headers: Headers, client: Client | None) -> Origin:
        """The Forwarded field (RFC 7239 section 4) of a request from the trusted peer `client`."""
        values = [value.decode("latin-1") for name, value in headers if name.lower() == b"forwarded"]
        origin = Origin(client)
        for hops, element in enumerate(elements_from_right(",".join(values)), 1):
            pairs = read_pairs(element)
            if pairs is None or hops > HOPS:
                break
            # Each proxy knows the scheme and the host that it was asked with.
            origin.scheme = read_scheme(pairs.get("proto", "")) or origin.scheme
            host, port = read_host(pairs.get("host", ""))
            if host is not None and "host" in self.wanted:
                origin.host, origin.port = host, port
            node = parse_node(pairs.get("for", ""))
            if node is None:
                break
            origin.client = node
            if not self.trusted.trusts(node):
                break
        return origin

    def apply(self, scope: Scope) -> None:
        """Writes into a scope what the proxies say of its request."""
        origin = self.origin(scope["headers"], scope["client"])
        scope["client"] = origin.client
        if origin.scheme is not None:
            secure = origin.scheme == "https"
            if scope["type"] == "websocket":
                scope["scheme"] = "wss" if secure else "ws"
            else:
                scope["scheme"] = origin.scheme
        if origin.host is not None or origin.port is not None:
            set_host(scope, origin)
        if origin.prefix is not None:
            set_prefix(scope, origin.prefix)


def set_host(scope: Scope, origin: Origin) -> None:
    """The Host field and the scope's `server`, as the client named them."""
    standard = 443 if scope["scheme"] in ("https", "wss") else 80
    host = origin.host
    if host is None:
        given = next((value for name, value in scope["headers"] if name.lower() == b"host"), b"")
        host = read_host(given.decode("latin-1"))[0]
        if host is None:
            return
    port = origin.port
    text = host if port is None or port == standard else f"{host}:{port}"
    field = (b"host", text.encode("latin-1"))
    scope["headers"] = [field] + [pair for pair in scope["headers"] if pair[0].lower() != b"host"]
    scope["server"] = (host.strip("[]"), port or standard)


def set_prefix(scope: Scope, prefix: str) -> None:
    """The path that a proxy took off: it is a part of `root_path` and of the path again."""
    scope["root_path"] = prefix + scope["root_path"]
    if not (scope["path"] + "/").startswith(prefix + "/"):
        scope["path"] = prefix + scope["path"]
        scope["raw_path"] = prefix.encode("latin-1") + scope["raw_path"]


# -- the grammar


def at_hop(text: str | None, hops: int) -> str:
    """Returns the item of a list that the outermost trusted proxy wrote: one value often stands for all of them."""
    if not text:
        return ""
    items = text.split(",")
    return items[-min(hops, len(items))].strip(" \t")


def parse_node(text: str) -> Client | None:
    """An address, with a port or without (0); None for "unknown", obfuscated and malformed ones."""
    text = text.strip('"')
    port = ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host = text
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if "%" in host:
        return None
    number = int(port) if port.isdecimal() and port.isascii() and len(port) < 6 else 0
    return (str(getattr(address, "ipv4_mapped", None) or address), number if number < 65536 else 0)


def read_scheme(text: str) -> str | None:
    """http or https; None for anything else."""
    return _SCHEMES.get(text.lower())


def read_host(text: str) -> tuple[str | None, int | None]:
    """Host and port of a Host field; None for each that is not there."""
    match = _HOST.fullmatch(text)
    if match is None:
        return None, None
    port = int(match[2]) if match[2] else None
    return match[1], port if port is None or 0 < port < 65536 else None


def read_port(text: str) -> int | None:
    """A port; None where it is none."""
    port = int(text[:6]) if text.isdecimal() and text.isascii() else 0
    return port if 0 < port < 65536 else None


def read_prefix(text: str) -> str | None:
    """A path without a slash at its end; None where it is none."""
    text = text.rstrip("/")
    return text if len(text) <= 1024 and _PREFIX.fullmatch(text) else None


def elements_from_right(text: str) -> Iterable[str]:
    """The elements of a Forwarded field, the last one first.

    Read from the right, since what stands on the left may be a client's, and its quotes need not be balanced.
    """
    end = len(text)
    quoted = False
    for position in range(len(text) - 1, -1, -1):
        character = text[position]
        if character == '"':
            before = position
            while before and text[before - 1] == "\\":
                before -= 1
            if not (position - before) & 1:
                quoted = not quoted
        elif character == "," and not quoted:
            yield text[position + 1 : end]
            end = position
    if end:
        yield text[:end]


def read_pairs(element: str) -> dict[str, str] | None:
    """The parameters of one element, names in lower case; None where it is malformed."""
    pairs: dict[str, str] = {}
    position = 0
    while True:
        match = _PAIR.match(element, position)
        assert match is not None  # it may be empty
        if match[1]:
            value = match[3] if match[2] is None else re.sub(r"\\(.)", r"\1", match[2])
            pairs.setdefault(match[1].lower(), value)
        position = match.end()
        if position == len(element):
            return pairs
        if element[position] != ";":
            return None
        position += 1
