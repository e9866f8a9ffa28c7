"""The counts of all workers as text in the OpenMetrics format, version 1.0."""

from __future__ import annotations

from collections.abc import Iterator

from hypercorn.metrics.board import Board
from hypercorn.metrics.counters import BOUNDS, BUCKETS, PROTOCOLS, REASONS

CONTENT_TYPE = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")
# Name, field, help of the counters without labels.
_PLAIN = (
    ("requests_aborted", "requests_aborted", "Requests whose client was gone before the response was whole."),
    ("request_body_bytes", "bytes_received", "Bytes of request bodies and WebSocket messages received."),
    ("response_body_bytes", "bytes_sent", "Bytes of response bodies and WebSocket messages sent."),
    ("stream_resets", "resets", "HTTP/2 streams that clients took back."),
    ("tls_handshake_failures", "tls_failures", "TLS handshakes that failed."),
    ("log_records_dropped", "log_dropped", "Log records that a slow disk or pipe did not take."),
    ("loop_blocked", "loop_blocked", "Times that the event loop was blocked longer than slow_callback says."),
)


def render(board: Board) -> bytes:
    """The exposition of a board's sums."""
    return "\n".join((*lines(board), "# EOF", "")).encode()


def lines(board: Board) -> Iterator[str]:
    """One line after the other."""
    total = board.total()
    workers = board.slots()
    yield from family("workers", "gauge", "Worker processes.")
    yield f"hypercorn_workers {len(workers)}"
    yield from family("worker_restarts", "counter", "Workers that took the place of another.")
    yield f"hypercorn_worker_restarts_total {board.restarts}"
    yield from family("start_time_seconds", "gauge", "When the server started, in seconds since 1970.")
    yield f"hypercorn_start_time_seconds {board.started_at}"
    yield from family("connections_opened", "counter", "Connections by the protocol that they came to speak.")
    for name in PROTOCOLS:
        yield f'hypercorn_connections_opened_total{{protocol="{name}"}} {total[f"{name}_opened"]}'
    yield from family("connections", "gauge", "Connections that are open.")
    for name in PROTOCOLS:
        yield f'hypercorn_connections{{protocol="{name}"}} {total[f"{name}_opened"] - total[f"{name}_closed"]}'
    yield from family("requests", "counter", "Requests that went to the application.")
    for name in PROTOCOLS:
        yield f'hypercorn_requests_total{{protocol="{name}"}} {total[f"{name}_requests"]}'
    yield from family("requests_in_flight", "gauge", "Requests and WebSockets that go on.")
    yield f"hypercorn_requests_in_flight {total['requests_started'] - total['requests_ended']}"
    yield from family("responses", "counter", "Responses by class of status.")
    for name in _CLASSES:
        yield f'hypercorn_responses_total{{class="{name}"}} {total[f"responses_{name}"]}'
    yield from histogram(total)
    yield from family("refused", "counter", "Requests and connections that no application saw.")
    for name in REASONS:
        yield f'hypercorn_refused_total{{reason="{name}"}} {total[f"refused_{name}"]}'
    for name, field, words in _PLAIN:
        yield from family(name, "counter", words)
        yield f"hypercorn_{name}_total {total[field]}"
    yield from family("loop_lag_seconds", "gauge", "How late the event loop was, of the worker that was latest.")
    yield f"hypercorn_loop_lag_seconds {total['loop_lag'] / 1e6}"


def family(name: str, kind: str, words: str) -> Iterator[str]:
    """The lines before the samples of one metric."""
    yield f"# TYPE hypercorn_{name} {kind}"
    if name.endswith("_seconds"):
        yield f"# UNIT hypercorn_{name} seconds"
    elif name.endswith("_bytes"):
        yield f"# UNIT hypercorn_{name} bytes"
    yield f"# HELP hypercorn_{name} {words}"


def histogram(total: dict[str, int]) -> Iterator[str]:
    """The durations of requests."""
    name = "request_duration_seconds"
    yield from family(name, "histogram", "Time from the head of a request to the end of its response.")
    count = 0
    for bound, bucket in zip((*map(str, BOUNDS), "+Inf"), BUCKETS, strict=True):
        count += total[bucket]
        yield f'hypercorn_{name}_bucket{{le="{bound}"}} {count}'
    yield f"hypercorn_{name}_sum {total['duration_microseconds'] / 1e6}"
    yield f"hypercorn_{name}_count {count}"
