"""Limits for each client: open connections, new connections and requests a second, by address or prefix.

A client is the network prefix of an address, `client_prefix_ipv4` or `client_prefix_ipv6` bits of it. The address of a
request is the one in the scope, so behind a trusted proxy it is the one that the proxy names; the connections of such a
proxy, and clients without an address (unix sockets), are not limited. Each worker counts its own.

A rate is a token bucket: one token a request, `rate` new ones a second, at most `burst` of them. Buckets that are full
again are worth no memory; of the others `client_table_size` are kept, and those that were not asked for longest go
first: a peer that owns more addresses than that gets their bursts again, and needs as many requests to get one.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from math import ceil, inf

from hypercorn.asgi.messages import Scope
from hypercorn.config.options.option import LARGEST
from hypercorn.protocol.limits import Limits
from hypercorn.protocol.runtime import Runtime

__all__ = ("ClientLimits", "limits_clients")

Key = bytes  # a prefix: 4 or 16 bytes, whose last bits are 0
MAPPED = bytes(10) + b"\xff\xff"  # IPv4-mapped IPv6 addresses (RFC 4291 section 2.5.5.2)


def limits_clients(limits: Limits) -> bool:
    """True where an option limits each client."""
    return limits.client_connections < LARGEST or limits_rates(limits)


def limits_rates(limits: Limits) -> bool:
    """True where an option limits how often a client comes."""
    return limits.client_connection_rate < LARGEST or limits.client_request_rate < LARGEST


class Buckets:
    """The token buckets of one rate.

    rate: tokens a second; infinite where nothing is limited
    burst: tokens of a full bucket
    size: buckets that are kept at most
    """

    def __init__(self, rate: float, burst: float, size: int) -> None:
        self.rate = rate
        self.burst = burst
        self.size = size
        self.times: OrderedDict[Key, float] = OrderedDict()  # by client: when its bucket will be full

    def take(self, key: Key, now: float) -> float:
        """Takes a token. Returns 0, or the seconds until there is one."""
        if self.rate == inf:
            return 0.0
        full_at = max(self.times.get(key, 0.0), now)
        wait = full_at - now + (1 - self.burst) / self.rate
        if wait > 1e-9:  # what rounding leaves is no wait
            self.times.move_to_end(key)
            return wait
        self.times[key] = full_at + 1 / self.rate
        self.times.move_to_end(key)
        if len(self.times) > self.size:
            self.times.popitem(last=False)
        return 0.0


class ClientLimits:
    """What the clients of one worker have used."""

    def __init__(self, runtime: Runtime, limits: Limits, exempt: list[str]) -> None:
        self.runtime = runtime
        self.most = limits.client_connections
        self.open: dict[Key, int] = {}  # connections of each client
        self.keys: dict[object, Key] = {}  # the clients of the transports that are counted
        self.connections = Buckets(
            unlimited(limits.client_connection_rate),
            burst_of(limits.client_connection_burst, limits.client_connection_rate),
            limits.client_table_size,
        )
        self.requests = Buckets(
            unlimited(limits.client_request_rate),
            burst_of(limits.client_request_burst, limits.client_request_rate),
            limits.client_table_size,
        )
        self.masks = (mask(limits.client_prefix_ipv4, 4), mask(limits.client_prefix_ipv6, 16))
        self.exempt = tuple(path.rstrip("/") for path in exempt)

    def key(self, client: tuple[str, int] | None) -> Key | None:
        """The prefix of a client, as transports and scopes name it. None for one without an address."""
        if client is None:
            return None
        host: str = client[0]
        try:
            if ":" not in host:
                return masked(socket.inet_pton(socket.AF_INET, host), self.masks[0])
            address = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        except OSError:
            return None  # a proxy's word for somebody, such as "unknown" (RFC 7239 section 6)
        if address.startswith(MAPPED):
            return masked(address[12:], self.masks[0])
        return masked(address, self.masks[1])

    def connect(self, transport: object, client: tuple[str, int] | None) -> bool:
        """Counts a new connection. Returns False for one too many."""
        key = self.key(client)
        if key is None:
            return True
        count = self.open.get(key, 0)
        if count >= self.most or self.connections.take(key, self.runtime.now()):
            return False
        self.open[key] = count + 1
        self.keys[transport] = key
        return True

    def disconnect(self, transport: object) -> None:
        """A connection has ended; one that was not counted changes nothing."""
        key = self.keys.pop(transport, None)
        if key is None:
            return
        if self.open[key] > 1:
            self.open[key] -= 1
        else:
            del self.open[key]

    def wait(self, scope: Scope, path: str) -> float:
        """Counts a request for `path`. Returns 0, or the seconds after which its client may send another."""
        for one in self.exempt:
            if path == one or path.startswith(one + "/"):
                return 0.0
        key = self.key(scope["client"])
        return 0.0 if key is None else self.requests.take(key, self.runtime.now())

    def fields(self, wait: float) -> tuple[tuple[bytes, bytes], ...]:
        """The header fields of a 429 (RFC 6585 section 4, and draft-ietf-httpapi-ratelimit-headers-10)."""
        seconds = max(1, ceil(wait))
        window = max(1, ceil(self.requests.burst / self.requests.rate))
        return (
            (b"retry-after", b"%d" % seconds),
            (b"ratelimit-policy", b'"client";q=%d;w=%d' % (self.requests.burst, window)),
            (b"ratelimit", b'"client";r=0;t=%d' % seconds),
        )


def unlimited(rate: float) -> float:
    """A rate of tokens a second; infinite where nothing is limited."""
    return inf if rate >= LARGEST else float(rate)


def burst_of(burst: float, rate: float) -> float:
    """Where no burst is set, it is what one second brings."""
    return float(rate if burst >= LARGEST else burst)


def mask(bits: int, size: int) -> int:
    """A number of `size` bytes whose first bits are 1."""
    return (1 << 8 * size) - (1 << 8 * size - bits)


def masked(address: bytes, wanted: int) -> Key:
    """An address whose bits beyond the prefix are 0."""
    return (int.from_bytes(address, "big") & wanted).to_bytes(len(address), "big")
