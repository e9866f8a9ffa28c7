"""The counts of one worker: plain numbers, incremented where things happen.

All but `loop_lag` (a gauge, microseconds) only grow; what is open or going on is the difference of two of them, so that
sums over workers, and over workers that are no more, stay right.
"""

from __future__ import annotations

from collections.abc import Callable

# Upper bounds of the histogram of request durations, in seconds; one more bucket is for everything above.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PROTOCOLS = ("http1", "http2", "http3", "websocket")
REASONS = ("malformed", "timeout", "too_large", "host", "connections", "concurrency", "delay", "client", "other")
BUCKETS = tuple(f"duration_{number}" for number in range(len(BOUNDS) + 1))
FIELDS = (
    *(f"{protocol}_opened" for protocol in PROTOCOLS),  # connections
    *(f"{protocol}_closed" for protocol in PROTOCOLS),
    *(f"{protocol}_requests" for protocol in PROTOCOLS),
    "requests_started",  # requests and WebSockets that went to the application
    "requests_ended",
    "requests_aborted",  # ... of them those whose client was gone before the response was whole
    "responses_1xx",
    "responses_2xx",
    "responses_3xx",
    "responses_4xx",
    "responses_5xx",
    "bytes_received",  # of request bodies
    "bytes_sent",  # of response bodies and WebSocket messages
    *BUCKETS,
    "duration_microseconds",
    *(f"refused_{reason}" for reason in REASONS),
    "resets",  # streams that clients took back
    "tls_failures",  # handshakes
    "log_dropped",  # access records that a slow disk or pipe did not take
    "loop_blocked",  # times that `slow_callback` was exceeded
    "loop_lag",
)
GAUGES = frozenset({"loop_lag"})
_REASON_OF_STATUS = {
    400: "malformed",
    404: "host",
    405: "malformed",
    408: "timeout",
    413: "too_large",
    414: "too_large",
    421: "host",
    429: "client",
    431: "too_large",
    501: "malformed",
    503: "connections",
    504: "timeout",
    505: "malformed",
}
_CLASSES = ("1xx", "1xx", "2xx", "3xx", "4xx", "5xx")


class Counters:
    """The numbers of one worker. Those that every request touches are attributes of their own, C numbers where this is
    compiled; `others` has the rest by name."""

    __slots__ = (
        "buckets",
        "bytes_received",
        "bytes_sent",
        "duration",
        "good",
        "http1_requests",
        "http2_requests",
        "http3_requests",
        "on_change",
        "others",
        "published",
        "quick",
        "requests_aborted",
        "requests_ended",
        "requests_started",
        "websocket_requests",
    )

    def __init__(self) -> None:
        self.requests_started = 0
        self.requests_ended = 0
        self.requests_aborted = 0
        self.http1_requests = 0
        self.http2_requests = 0
        self.http3_requests = 0
        self.websocket_requests = 0
        self.good = 0  # responses_2xx
        self.bytes_received = 0
        self.bytes_sent = 0
        self.duration = 0.0  # seconds
        self.quick = 0  # of the first bucket, where most are
        self.buckets: list[int] = [0] * (len(BOUNDS) + 1)  # the others
        # Set while everything is published: the next change calls `on_change`, which sees to the next publication.
        self.published = True
        self.on_change: Callable[[], None] | None = None
        self.others: dict[str, int] = {name: 0 for name in FIELDS if name not in _ATTRIBUTES}

    def started(self, version: str) -> None:
        """Counts a request that went to the application."""
        self.requests_started += 1
        if self.published and self.on_change is not None:
            self.on_change()
        if version == "1.1":
            self.http1_requests += 1
        elif version == "2":
            self.http2_requests += 1
        elif version == "3":
            self.http3_requests += 1
        else:
            self.http1_requests += 1

    def ended(self, status: int, seconds: float, sent: int, received: int) -> None:
        """Counts a request that has ended after `seconds`. A status of 0 was never sent."""
        self.requests_ended += 1
        if self.published and self.on_change is not None:
            self.on_change()
        self.bytes_sent += sent
        self.bytes_received += received
        self.duration += seconds
        if seconds <= 0.001:
            self.quick += 1
        else:
            self.buckets[bucket_of(seconds)] += 1
        if 200 <= status < 300:
            self.good += 1
        elif status:
            self.count("responses_" + _CLASSES[min(status // 100, 5)])

    def count(self, name: str, number: int = 1) -> None:
        """Adds to one of `others`."""
        self.others[name] += number
        if self.published and self.on_change is not None:
            self.on_change()

    def refused(self, status: int) -> None:
        """Counts a request that was answered before any application saw it."""
        self.count("refused_" + _REASON_OF_STATUS.get(status, "other"))

    def values(self) -> list[int]:
        """All numbers, in the order of FIELDS."""
        known = dict(self.others)
        known.update(zip(BUCKETS, self.buckets, strict=True))
        known[BUCKETS[0]] += self.quick
        known["duration_microseconds"] = int(self.duration * 1_000_000)
        known["responses_2xx"] = self.good
        for name in _PLAIN:
            known[name] = getattr(self, name)
        return [known[name] for name in FIELDS]


def bucket_of(seconds: float) -> int:
    """The number of the bucket that a duration belongs to."""
    number = 0
    for bound in BOUNDS:
        if seconds <= bound:
            return number
        number += 1
    return number


_PLAIN = (
    "requests_started",
    "requests_ended",
    "requests_aborted",
    "http1_requests",
    "http2_requests",
    "http3_requests",
    "websocket_requests",
    "bytes_received",
    "bytes_sent",
)
_ATTRIBUTES = frozenset({*_PLAIN, *BUCKETS, "duration_microseconds", "responses_2xx"})
