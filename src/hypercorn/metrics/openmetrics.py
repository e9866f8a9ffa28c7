"""The counts of all workers as text for Prometheus: in the OpenMetrics format 1.0, or in the older one, 0.0.4."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator

import hypercorn
from hypercorn.metrics.board import Board
from hypercorn.metrics.counters import BOUNDS, BUCKETS, PROTOCOLS, REASONS
from hypercorn.metrics.processes import describe

OPENMETRICS = "application/openmetrics-text"
CONTENT_TYPE = b"application/openmetrics-text; version=1.0.0; charset=utf-8"
PLAIN_CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
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
# Name, kind, field of `Process`, help of what the system says of each worker.
_OF_WORKERS = (
    ("worker_resident_memory_bytes", "gauge", "memory", "Memory that a worker holds."),
    ("worker_cpu_seconds", "counter", "cpu", "Processor time of a worker since its start."),
    ("worker_open_fds", "gauge", "files", "Descriptors that a worker has open."),
)


def wants_openmetrics(accept: str) -> bool:
    """Whether a client that sent this Accept field gets OpenMetrics: where it names it, and likes nothing better."""
    weights = {"openmetrics": 0.0, "plain": 0.0}
    for member in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in member.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    weight = float(parameter[2:])
                except ValueError:
                    weight = 0.0
        name = "openmetrics" if kind == OPENMETRICS else "plain" if kind in ("text/plain", "text/*") else ""
        if name:
            weights[name] = max(weights[name], weight)
    return weights["openmetrics"] > 0 and weights["openmetrics"] >= weights["plain"]


def render(board: Board, openmetrics: bool = True) -> bytes:
    """The exposition of a board's sums."""
    lines = [*Exposition(board, openmetrics).lines(), *(["# EOF"] if openmetrics else []), ""]
    return "\n".join(lines).encode()


class Exposition:
    """The metrics of a board, line by line, in one of the two formats."""

    def __init__(self, board: Board, openmetrics: bool) -> None:
        self.board = board
        self.openmetrics = openmetrics

    def lines(self) -> Iterator[str]:
        """One line after the other."""
        board, total = self.board, self.board.total()
        workers = board.slots()
        yield from self.info()
        yield from self.single("workers", "gauge", "Worker processes.", len(workers))
        yield from self.single("worker_restarts", "counter", "Workers that took the place of another.", board.restarts)
        words = "When the server started, in seconds since 1970."
        yield from self.single("start_time_seconds", "gauge", words, board.started_at)
        opened = {name: total[f"{name}_opened"] for name in PROTOCOLS}
        words = "Connections by the protocol that they came to speak."
        yield from self.labelled("connections_opened", "counter", words, "protocol", opened.items())
        still = {name: opened[name] - total[f"{name}_closed"] for name in PROTOCOLS}
        yield from self.labelled("connections", "gauge", "Connections that are open.", "protocol", still.items())
        requests = [(name, total[f"{name}_requests"]) for name in PROTOCOLS]
        words = "Requests that went to the application."
        yield from self.labelled("requests", "counter", words, "protocol", requests)
        going_on = total["requests_started"] - total["requests_ended"]
        yield from self.single("requests_in_flight", "gauge", "Requests and WebSockets that go on.", going_on)
        classes = [(name, total[f"responses_{name}"]) for name in _CLASSES]
        yield from self.labelled("responses", "counter", "Responses by class of status.", "class", classes)
        yield from self.histogram(total)
        refused = [(name, total[f"refused_{name}"]) for name in REASONS]
        words = "Requests and connections that no application saw."
        yield from self.labelled("refused", "counter", words, "reason", refused)
        for name, field, words in _PLAIN:
            yield from self.single(name, "counter", words, total[field])
        words = "How late the event loop was, of the worker that was latest."
        yield from self.single("loop_lag_seconds", "gauge", words, total["loop_lag"] / 1e6)
        processes = {worker["slot"]: describe(worker["pid"]) for worker in workers}
        for name, kind, field, words in _OF_WORKERS:
            values = [(str(slot), getattr(found, field)) for slot, found in processes.items()]
            known = [(slot, value) for slot, value in values if value is not None]
            yield from self.labelled(name, kind, words, "worker", known)

    def family(self, name: str, kind: str, words: str) -> Iterator[str]:
        """The lines before the samples of one metric. The older format has no units, and names counters in full."""
        shown = f"hypercorn_{name}"
        if not self.openmetrics and kind in ("counter", "info"):
            shown, kind = (f"{shown}_total", kind) if kind == "counter" else (f"{shown}_info", "gauge")
        yield f"# TYPE {shown} {kind}"
        if self.openmetrics:
            for unit in ("seconds", "bytes"):
                if name.endswith(f"_{unit}"):
                    yield f"# UNIT {shown} {unit}"
        yield f"# HELP {shown} {words}"

    def single(self, name: str, kind: str, words: str, value: float) -> Iterator[str]:
        """A metric without labels."""
        yield from self.family(name, kind, words)
        yield f"hypercorn_{name}{'_total' if kind == 'counter' else ''} {value}"

    def labelled(
        self, name: str, kind: str, words: str, label: str, values: Iterable[tuple[str, float]]
    ) -> Iterator[str]:
        """A metric with one label."""
        yield from self.family(name, kind, words)
        for key, value in values:
            yield f'hypercorn_{name}{"_total" if kind == "counter" else ""}{{{label}="{key}"}} {value}'

    def info(self) -> Iterator[str]:
        """Which server this is, as labels of a constant."""
        yield from self.family("build", "info", "Version, build and Python of the server.")
        python = f"{platform.python_implementation()} {platform.python_version()}"
        labels = f'version="{hypercorn.__version__}",build="{hypercorn.build()}",python="{python}"'
        yield f"hypercorn_build_info{{{labels}}} 1"

    def histogram(self, total: dict[str, int]) -> Iterator[str]:
        """The durations of requests."""
        name = "request_duration_seconds"
        yield from self.family(name, "histogram", "Time from the head of a request to the end of its response.")
        count = 0
        for bound, bucket in zip((*map(str, BOUNDS), "+Inf"), BUCKETS, strict=True):
            count += total[bucket]
            yield f'hypercorn_{name}_bucket{{le="{bound}"}} {count}'
        yield f"hypercorn_{name}_sum {total['duration_microseconds'] / 1e6}"
        yield f"hypercorn_{name}_count {count}"
