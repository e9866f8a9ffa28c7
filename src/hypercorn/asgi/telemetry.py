"""OpenTelemetry: a server span and the server metrics of each request and WebSocket, by the HTTP semantic conventions.

Spans and metrics go through the SDK, which the extra `otel` installs: to the providers that the application has set, or
else to providers of this worker's own, which export by OTLP over HTTP as the variables of OpenTelemetry say
(OTEL_EXPORTER_OTLP_ENDPOINT and others). Nothing imports this module where the option `otel` is off.

What is measured is what the server does: a span begins with the head of the request and ends with its response, or with
the WebSocket. An error of the SDK, or of what an application adds to it, is logged once and costs no request.
"""

from __future__ import annotations

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import Getter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode

from hypercorn import __version__
from hypercorn.asgi.messages import Scope
from hypercorn.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.logs.logger import ErrorLog
    from hypercorn.protocol.ports import Transport

Attributes = dict[str, "str | int"]
Headers = Iterable[tuple[bytes, bytes]]
ActiveRequests = dict[tuple[str, str], int]  # by method and scheme

TEXT_CHARACTERS = 1024  # of a value that a peer chose: many spans wait for their export at a time
METHODS = "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY"  # RFC 9110, RFC 5789 and the method QUERY
OTHER = "_OTHER"
SCHEMES = {"ws": "http", "wss": "https"}  # a handshake is a request of HTTP
PORTS = {"http": 80, "https": 443}
# Parameters of signed URLs (of AWS, Azure and Google), whose values are no span's business.
SECRET = re.compile(
    r"(?:^|(?<=&))(X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|AWSAccessKeyId|Signature|sig"
    r"|X-Goog-Signature)=[^&]*"
)
# Upper bounds of the buckets of durations, in seconds, that the conventions advise.
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
SCHEMA = "https://opentelemetry.io/schemas/1.38.0"
NOBODY = contexts.Context()  # no span is current, and there is no baggage
EXPORTERS = ("otlp", "none")  # values of OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER that are understood


class FieldGetter(Getter[Headers]):
    """Reads the header fields of a scope for propagators."""

    def get(self, carrier: Headers, key: str) -> list[str] | None:
        """The values of a field. Two `traceparent` fields are none (W3C Trace Context section 3.2)."""
        wanted = key.lower().encode("latin-1")
        found = [value.decode("latin-1") for name, value in carrier if name.lower() == wanted]
        return None if not found or (len(found) > 1 and key == "traceparent") else found

    def keys(self, carrier: Headers) -> list[str]:
        """The names of all fields."""
        return [name.decode("latin-1").lower() for name, _ in carrier]


FIELDS = FieldGetter()
# The counts of all servers of this process, by the provider that observes them: it has one instrument of a name.
ACTIVE: WeakKeyDictionary[metrics.MeterProvider, list[ActiveRequests]] = WeakKeyDictionary()


class RequestSpan:
    """The span of one request or WebSocket, and what its metrics need.

    context: that of the application's call, in which the span is the current one
    labels: the attributes of its metrics that are known from the start
    counted: as what it is an active request
    version: of HTTP
    """

    __slots__ = ("context", "counted", "labels", "span", "started_at", "telemetry", "version")

    def __init__(
        self, telemetry: Telemetry, span: trace.Span, context: contexts.Context, labels: Attributes, version: str
    ) -> None:
        self.telemetry = telemetry
        self.span = span
        self.context = context
        self.labels = labels
        self.counted = str(labels["http.request.method"]), str(labels["url.scheme"])
        self.version = version
        self.started_at = time.perf_counter()

    def enter(self) -> None:
        """Makes the span the current one, in the task that is about to call the application."""
        contexts.attach(self.context)

    def raised(self, error: BaseException) -> None:
        """The application raised an exception, which the span has from now on."""
        try:
            self.span.record_exception(error)
            self.span.set_status(StatusCode.ERROR)
        except Exception as fault:
            self.telemetry.report(fault)

    def end(self, scope: Scope, status: int, error: str, received: int, sent: int) -> None:
        """Ends the span, and measures. `status` is 0 where none was sent; `error`: what went wrong besides, or "";
        `received` and `sent` are bytes of bodies or messages."""
        self.telemetry.active[self.counted] -= 1
        try:
            self.measure(scope, status, error, received, sent)
        except Exception as fault:
            self.telemetry.report(fault)

    def measure(self, scope: Scope, status: int, error: str, received: int, sent: int) -> None:
        """The same; raises what the SDK raises."""
        telemetry, span = self.telemetry, self.span
        labels = {**self.labels, "network.protocol.version": self.version}
        if status:
            labels["http.response.status_code"] = status
            span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        if error or status >= 500:
            labels["error.type"] = error or str(status)
            span.set_attribute("error.type", labels["error.type"])
        route = telemetry.route(scope)
        if route:
            labels["http.route"] = route
            span.set_attribute("http.route", route)
            span.update_name(f"{span_name(self.labels)} {route}")
        span.end()
        telemetry.durations.record(time.perf_counter() - self.started_at, labels, self.context)
        telemetry.request_sizes.record(received, labels, self.context)
        telemetry.response_sizes.record(sent, labels, self.context)


class Telemetry:
    """The tracer and the instruments of one worker."""

    def __init__(self, tracers: trace.TracerProvider, meters: metrics.MeterProvider, log: ErrorLog) -> None:
        self.tracers = tracers
        self.meters = meters
        self.log = log
        self.failed = False  # the log has been told of an error
        self.methods = frozenset(known_methods())
        self.tracer = tracers.get_tracer("hypercorn", __version__, SCHEMA)
        meter = meters.get_meter("hypercorn", __version__, SCHEMA)
        self.durations = meter.create_histogram(
            "http.server.request.duration",
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=BOUNDS,
        )
        self.active: ActiveRequests = {}
        if meters not in ACTIVE:
            counts: list[ActiveRequests] = []
            ACTIVE[meters] = counts
            # An instrument that is asked, as each measurement of another costs a request 5 us.
            meter.create_observable_up_down_counter(
                "http.server.active_requests",
                [partial(observe_active, counts)],
                "{request}",
                "Number of active HTTP server requests.",
            )
        ACTIVE[meters].append(self.active)
        self.request_sizes = meter.create_histogram(
            "http.server.request.body.size", "By", "Size of HTTP server request bodies."
        )
        self.response_sizes = meter.create_histogram(
            "http.server.response.body.size", "By", "Size of HTTP server response bodies."
        )

    @classmethod
    def open(cls, log: ErrorLog) -> Telemetry | None:
        """That of this process; None where OTEL_SDK_DISABLED says so. Raises ConfigError."""
        if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
            return None
        return cls(tracer_provider(), meter_provider(), log)

    # -- of each request

    def begin(self, scope: Scope, transport: Transport, method: str) -> RequestSpan | None:
        """Begins the span of a request, of which nobody has changed the scope yet. `method` is that of the head."""
        try:
            known = method if method in self.methods else OTHER
            scheme = str(SCHEMES.get(scope["scheme"], scope["scheme"]))
            attributes = self.attributes(scope, transport, method, known, scheme)
            parent = propagate.extract(scope["headers"], NOBODY, FIELDS)
            labels: Attributes = {"http.request.method": known, "url.scheme": scheme}
            span = self.tracer.start_span(span_name(labels), parent, SpanKind.SERVER, attributes)
            self.active[known, scheme] = self.active.get((known, scheme), 0) + 1
            return RequestSpan(self, span, trace.set_span_in_context(span, parent), labels, scope["http_version"])
        except Exception as error:
            self.report(error)
            return None

    def attributes(self, scope: Scope, transport: Transport, method: str, known: str, scheme: str) -> Attributes:
        """Those of a span that are known from the start."""
        found: Attributes = {
            "http.request.method": known,
            "url.scheme": scheme,
            "url.path": clipped(scope["raw_path"]),
            "network.protocol.name": "http",
            "network.protocol.version": scope["http_version"],
        }
        if known is OTHER:
            found["http.request.method_original"] = method[:TEXT_CHARACTERS]
        if scope["query_string"]:
            found["url.query"] = SECRET.sub(r"\1=REDACTED", scope["query_string"].decode("latin-1"))[:TEXT_CHARACTERS]
        if transport.client is not None:
            found["network.peer.address"], found["network.peer.port"] = transport.client
        if scope["client"] is not None:
            found["client.address"] = scope["client"][0]
        host = b""
        for name, value in scope["headers"]:
            name = name.lower()
            if name == b"host":
                host = value
            elif name == b"user-agent":
                found["user_agent.original"] = clipped(value)
        address, port = server_of(host, scope["server"], scheme)
        if address:
            found["server.address"] = address
            if port is not None:
                found["server.port"] = port
        return found

    def route(self, scope: Scope) -> str:
        """The route that a framework has put into a scope; "" where it did not, or where that fails."""
        try:
            return route_of(scope)
        except Exception as fault:
            self.report(fault)
            return ""

    def report(self, error: Exception) -> None:
        """Logs the first error of the SDK, or of what an application has added to it."""
        if not self.failed:
            self.failed = True
            self.log.log_error("OpenTelemetry failed; this is said once", exc_info=error)

    # -- at the end

    def flush(self, done: Callable[[], object]) -> None:
        """Exports what waits, in a thread, as that may take long; then calls `done` there."""

        def run() -> None:
            for provider in (self.tracers, self.meters):
                force_flush = getattr(provider, "force_flush", None)
                try:
                    if force_flush is not None:
                        force_flush()
                except Exception as error:
                    self.report(error)
            done()

        threading.Thread(target=run, name="hypercorn-telemetry", daemon=True).start()


def observe_active(counts: list[ActiveRequests], _: object) -> list[metrics.Observation]:
    """What the metric of active requests is when it is exported. Called in another thread."""
    total: ActiveRequests = {}
    for one in list(counts):
        for kind, count in list(one.items()):
            total[kind] = total.get(kind, 0) + count
    return [
        metrics.Observation(count, {"http.request.method": method, "url.scheme": scheme})
        for (method, scheme), count in total.items()
    ]


def span_name(labels: Attributes) -> str:
    """The name of a span without a route: the method, or "HTTP" where that is not known."""
    return "HTTP" if labels["http.request.method"] == OTHER else str(labels["http.request.method"])


def clipped(value: bytes) -> str:
    """A value that a peer chose."""
    return value[:TEXT_CHARACTERS].decode("latin-1")


def server_of(host: bytes, server: tuple[str, int | None] | None, scheme: str) -> tuple[str, int | None]:
    """The name and port of the server as the request names it (its Host field), else as its socket has it."""
    if not host:
        return ("", None) if server is None else server
    name, _, port = host[:TEXT_CHARACTERS].decode("latin-1").rpartition(":")
    if not name or not port.isdigit() or (":" in name and not name.endswith("]")):
        name, port = host[:TEXT_CHARACTERS].decode("latin-1"), ""
    return name.strip("[]"), int(port) if port else PORTS.get(scheme)


def route_of(scope: Scope) -> str:
    """The route that a framework has found, as a template with few values; "" where it does not tell."""
    template = scope.get("path_template")  # Litestar's
    route = scope.get("route")  # Starlette's, and of what is built on it
    if route is not None:
        root = scope.get("root_path") or ""
        if getattr(route, "routes", None) is not None:
            return root or "/"  # a mount of something else
        template = getattr(route, "path_format", None) or getattr(route, "path", None)
        if isinstance(template, str):
            template = root.rstrip("/") + template
    return template if isinstance(template, str) else ""


def known_methods() -> list[str]:
    """Methods that are told as they are; OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS names others."""
    named = os.environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "")
    return [name.strip() for name in named.split(",") if name.strip()] or METHODS.split()


def exports(signal: str) -> bool:
    """Whether a signal ("traces" or "metrics") is exported. Raises ConfigError for an exporter that is unknown."""
    name = f"OTEL_{signal.upper()}_EXPORTER"
    value = os.environ.get(name, "").strip() or EXPORTERS[0]
    if value not in EXPORTERS:
        raise ConfigError(f"{name}={value}: expected otlp or none; set providers in the application for others")
    return value == EXPORTERS[0]


def resource() -> Resource:
    """Who is measured: what the variables of OpenTelemetry say, and this process, as each worker counts by itself."""
    own: dict[str, str | int] = {"process.pid": os.getpid()}
    if "service.instance.id" not in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", ""):
        own["service.instance.id"] = str(uuid.uuid4())
    return Resource.create(own)


def tracer_provider() -> trace.TracerProvider:
    """The one that the application has set, else a new one, which is set for its libraries too."""
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return known
    made = TracerProvider(resource=resource(), shutdown_on_exit=False)
    if exports("traces"):
        made.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(made)
    return made


def meter_provider() -> metrics.MeterProvider:
    """The same for metrics."""
    known = metrics.get_meter_provider()
    if isinstance(known, MeterProvider):
        return known
    readers = [PeriodicExportingMetricReader(OTLPMetricExporter())] if exports("metrics") else []
    made = MeterProvider(readers, resource=resource(), shutdown_on_exit=False)
    metrics.set_meter_provider(made)
    return made
