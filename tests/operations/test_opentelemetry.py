"""Spans and metrics by OpenTelemetry: as the conventions want them, on every protocol and loop, and their export."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.process.command import Command, environment
from tests.runtime.test_http3 import serve
from tests.runtime.test_tls import Certificates, certificates
from tests.support.harness import GET, Answers, body, config, request, response, start
from tests.support.http2 import H2, headers
from tests.support.http3 import LiveClient
from tests.support.live import Live, eventually, hello, pause, respond
from tests.support.peer import PATIENCE
from tests.support.websocket import upgrade

from hypercorn.config import Config
from hypercorn.errors import ConfigError
from hypercorn.testing import MemoryServer

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")

from opentelemetry import baggage, trace
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import (
    client_attributes,
    error_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION
from opentelemetry.trace import SpanKind, StatusCode

from hypercorn.asgi import telemetry
from hypercorn.asgi.telemetry import RequestSpan, known_methods, server_of

__all__ = ("certificates", "serve")  # fixtures

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"traceparent: 00-{TRACE}-{PARENT}-01"
MODULES = (client_attributes, error_attributes, http_attributes, network_attributes, server_attributes, url_attributes)
# The attributes that the conventions have, stable all of them.
KNOWN = {
    value
    for module in (*MODULES, user_agent_attributes)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, str)
}


class Memory:
    """What the SDK was given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    def spans(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def span(self) -> ReadableSpan:
        """The only one of a server."""
        (found,) = [span for span in self.spans() if span.kind is SpanKind.SERVER]
        return found

    def points(self, name: str) -> list[Any]:
        """Those of a metric."""
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


@pytest.fixture(name="memory")
def _memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    memory = Memory()
    monkeypatch.setattr(telemetry, "tracer_provider", lambda: memory.tracers)
    monkeypatch.setattr(telemetry, "meter_provider", lambda: memory.meters)
    return memory


def attributes(span: ReadableSpan) -> dict[str, Any]:
    found = dict(span.attributes or {})
    assert set(found) <= KNOWN, set(found) - KNOWN
    # Required, or required where the condition holds (HTTP spans, HTTP server).
    assert {"http.request.method", "url.path", "url.scheme"} <= set(found)
    assert ("http.request.method_original" in found) is (found["http.request.method"] == "_OTHER")
    assert ("server.port" in found) <= ("server.address" in found)
    assert span.name.split(" ")[0] == found["http.request.method"].replace("_OTHER", "HTTP")
    return found


# -- what a span says


def test_the_attributes_of_a_request(memory: Memory) -> None:
    client = MemoryServer(Answers(), config(otel=True)).connect(client=("192.0.2.7", 4711))
    client.send(request("/a%20b?q=1&sig=abc&X-Amz-Signature=1&signature=2", "User-Agent: curl/8"))
    assert response(client).status == 200
    span = memory.span()
    assert span.kind is SpanKind.SERVER
    assert span.name == "GET"
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None
    assert attributes(span) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "url.path": "/a%20b",
        "url.query": "q=1&sig=REDACTED&X-Amz-Signature=REDACTED&signature=2",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "network.peer.address": "192.0.2.7",
        "network.peer.port": 4711,
        "client.address": "192.0.2.7",
        "user_agent.original": "curl/8",
        "server.address": "a",
        "server.port": 80,
        "http.response.status_code": 200,
    }


def test_metrics(memory: Memory) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert [point.value for point in memory.points("http.server.active_requests")] == [1]
        await receive()
        await send(start(201))
        await send(body(b"12345"))

    client = MemoryServer(app, config(otel=True)).connect()
    client.send(request("/", method="POST", body=b"123"))
    assert response(client).status == 201
    labels = {"http.request.method": "POST", "url.scheme": "http"}
    (active,) = memory.points("http.server.active_requests")
    assert (active.value, dict(active.attributes)) == (0, labels)
    whole = {**labels, "http.response.status_code": 201, "network.protocol.version": "1.1"}
    for name, total in (("request.body.size", 3), ("response.body.size", 5)):
        (point,) = memory.points(f"http.server.{name}")
        assert (point.count, point.sum, dict(point.attributes)) == (1, total, whole)
    (duration,) = memory.points(HTTP_SERVER_REQUEST_DURATION)
    assert (duration.count, dict(duration.attributes)) == (1, whole)
    assert duration.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def test_servers_of_one_process_are_counted_together(memory: Memory) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    clients = [MemoryServer(app, config(otel=True)).connect() for _ in range(2)]
    for client in clients:
        client.send(GET)
    assert [point.value for point in memory.points("http.server.active_requests")] == [2]
    clients[0].disconnect()
    assert [point.value for point in memory.points("http.server.active_requests")] == [1]


@pytest.mark.parametrize(
    ("raised", "status", "error", "code"),
    [
        (False, 404, None, StatusCode.UNSET),
        (False, 503, "503", StatusCode.ERROR),
        (True, 500, "KeyError", StatusCode.ERROR),
    ],
)
def test_status_and_errors(memory: Memory, raised: bool, status: int, error: str | None, code: StatusCode) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if raised:
            raise KeyError("of the application")
        await send(start(status))
        await send(body(b""))

    client = MemoryServer(app, config(otel=True)).connect()
    client.send(GET)
    assert response(client).status == status
    span = memory.span()
    found = attributes(span)
    assert (found["http.response.status_code"], found.get("error.type"), span.status.status_code) == (
        status,
        error,
        code,
    )
    assert [event.name for event in span.events] == (["exception"] if raised else [])
    (point,) = memory.points(HTTP_SERVER_REQUEST_DURATION)
    assert point.attributes.get("error.type") == error


def test_an_error_inside_of_a_response(memory: Memory) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200))
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("too late")

    client = MemoryServer(app, config(otel=True)).connect()
    client.send(GET)
    span = memory.span()
    assert attributes(span)["http.response.status_code"] == 200
    assert attributes(span)["error.type"] == "ValueError"
    assert span.status.status_code is StatusCode.ERROR


def test_a_client_that_leaves_is_no_error_of_the_server(memory: Memory) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    client = MemoryServer(app, config(otel=True)).connect()
    client.send(GET)
    client.disconnect()
    span = memory.span()
    found = attributes(span)
    assert found["error.type"] == "ClientDisconnected"
    assert "http.response.status_code" not in found
    assert span.status.status_code is StatusCode.UNSET
    assert [point.value for point in memory.points("http.server.active_requests")] == [0]


def test_requests_that_no_application_sees(memory: Memory) -> None:
    """400, 431, 413, 429 and 503 are spans as others; also a connection that is refused before it sent anything."""
    app = Answers()
    settings = config(otel=True, client_request_rate=1, max_body_size=5, max_header_size=2000)
    server = MemoryServer(app, settings)
    refused = {
        400: f"GET /bad HTTP/1.1\r\n{TRACEPARENT}\r\n\r\n".encode(),
        413: request("/large", TRACEPARENT, method="POST", body=b"123456"),
        431: request("/long", "X: " + "y" * 4000),
        405: b"CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n",
    }
    for number, (status, data) in enumerate(refused.items()):
        client = server.connect(client=(f"192.0.2.{number + 1}", 1))
        client.send(data)
        assert response(client).status == status
        found = attributes(memory.span())
        assert found["http.response.status_code"] == status
        assert found["network.peer.address"] == f"192.0.2.{number + 1}"
        if status in (400, 413):
            assert format(memory.span().context.trace_id, "032x") == TRACE
        memory.exporter.clear()
    client = server.connect(client=("198.51.100.1", 1))
    for status in (200, 429):
        client.send(GET)
        assert response(client).status == status
        assert attributes(memory.span())["http.response.status_code"] == status
        memory.exporter.clear()
    assert [point.value for point in memory.points("http.server.active_requests")] == [0] * 3


def test_too_many_requests_at_once(memory: Memory) -> None:
    server = MemoryServer(Answers(), config(otel=True, limit_concurrency=1))
    assert server.context.gate is not None
    server.context.gate.overload.counters.requests_started += 1
    client = server.connect()
    client.send(GET)
    assert response(client).status == 503
    span = memory.span()
    assert attributes(span)["error.type"] == "503"
    assert span.status.status_code is StatusCode.ERROR


def test_methods_that_are_not_known(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    for known, name in (("", "HTTP"), ("GET, BREW", "BREW")):
        monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", known)
        client = MemoryServer(Answers(), config(otel=True)).connect()
        client.send(request("/", method="BREW"))
        assert response(client).status == 200
        span = memory.span()
        assert span.name == name
        assert attributes(span).get("http.request.method_original") == ("BREW" if name == "HTTP" else None)
        memory.exporter.clear()
    monkeypatch.delenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS")
    assert "QUERY" in known_methods()


def test_what_a_peer_chooses_is_bounded(memory: Memory) -> None:
    client = MemoryServer(Answers(), config(otel=True)).connect()
    client.send(request("/" + "p" * 3000 + "?" + "q" * 3000, "User-Agent: " + "u" * 3000, method="M" * 20))
    response(client)
    assert {len(value) for value in attributes(memory.span()).values() if isinstance(value, str)} <= {*range(30), 1024}


@pytest.mark.parametrize(
    ("host", "server", "scheme", "expected"),
    [
        (b"a.example", None, "https", ("a.example", 443)),
        (b"a.example:8080", None, "http", ("a.example", 8080)),
        (b"[2001:db8::1]:8080", None, "http", ("2001:db8::1", 8080)),
        (b"[2001:db8::1]", None, "http", ("2001:db8::1", 80)),
        (b"", ("127.0.0.1", 9), "http", ("127.0.0.1", 9)),
        (b"", ("/run/socket", None), "http", ("/run/socket", None)),
        (b"", None, "http", ("", None)),
    ],
)
def test_the_name_of_the_server(host: bytes, server: Any, scheme: str, expected: object) -> None:
    assert server_of(host, server, scheme) == expected


def test_behind_a_proxy(memory: Memory) -> None:
    """`client.address` is whom the proxy names, `network.peer.address` the proxy; the scheme is the client's."""
    settings = config(otel=True, trusted_proxies=["10.0.0.1"], forwarded_host=True)
    client = MemoryServer(Answers(), settings).connect(client=("10.0.0.1", 5))
    fields = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example")
    client.send(request("/", *fields))
    response(client)
    found = attributes(memory.span())
    assert (found["client.address"], found["network.peer.address"]) == ("203.0.113.9", "10.0.0.1")
    assert (found["url.scheme"], found["server.address"], found["server.port"]) == ("https", "shop.example", 443)


def test_http2(memory: Memory) -> None:
    h2 = H2(Answers(), otel=True)
    fields = [(b":method", b"GET"), (b":path", b"/x"), (b":scheme", b"http"), (b":authority", b"b.example:81")]
    h2.send(headers(1, [*fields, (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]))
    assert h2.answer().status == 200
    found = attributes(memory.span())
    assert (found["network.protocol.version"], found["url.path"]) == ("2", "/x")
    assert (found["server.address"], found["server.port"]) == ("b.example", 81)
    assert format(memory.span().context.trace_id, "032x") == TRACE


def test_an_sdk_that_fails_costs_no_request(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(SimpleSpanProcessor):
        def on_start(self, *_: Any) -> None:
            raise RuntimeError("of a span processor")

    memory.tracers.add_span_processor(Broken(memory.exporter))
    server = MemoryServer(Answers(), config(otel=True))
    client = server.connect()
    for _ in range(2):
        client.send(GET)
        assert response(client).status == 200
    (entry,) = server.log.at("error")
    assert entry.text.startswith("OpenTelemetry failed; this is said once")

    def wrong(*_: Any) -> None:
        raise ValueError("of the end")

    monkeypatch.setattr(RequestSpan, "measure", wrong)
    memory.tracers._active_span_processor._span_processors = ()
    other = MemoryServer(Answers(), config(otel=True))
    client = other.connect()
    client.send(GET)
    assert response(client).status == 200
    assert len(other.log.at("error")) == 1


# -- routes


@pytest.mark.parametrize("change", ["route", "scope", "headers"])
def test_what_the_application_does_to_its_scope(memory: Memory, change: str) -> None:
    class Route:
        @property
        def path(self) -> str:
            raise RuntimeError("of a route")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if change == "route":
            scope["route"] = Route()
        elif change == "scope":
            scope.clear()
        else:
            scope["headers"] = scope["http_version"] = scope["path_template"] = 7
        await send(start())
        await send(body(b"ok"))

    client = MemoryServer(app, config(otel=True)).connect()
    client.send(GET)
    assert response(client).status == 200
    assert attributes(memory.span())["network.protocol.version"] == "1.1"


def test_routes_of_frameworks(memory: Memory, serve_app: Any) -> None:
    fastapi = pytest.importorskip("fastapi")
    litestar = pytest.importorskip("litestar")
    routing = pytest.importorskip("starlette.routing")
    applications = pytest.importorskip("starlette.applications")
    responses = pytest.importorskip("starlette.responses")

    inner = fastapi.FastAPI()

    @inner.get("/items/{item}")
    async def item(item: int) -> int:
        return item

    async def page(request: Any) -> Any:
        return responses.PlainTextResponse("ok")

    mounted = applications.Starlette(
        routes=[routing.Mount("/api", inner), routing.Route("/users/{name}", page), routing.Mount("/raw", hello)]
    )

    @litestar.get("/books/{book:int}")
    async def book() -> int:
        return 3

    for app, path, route in (
        (inner, "/items/7", "/items/{item}"),
        (mounted, "/api/items/7", "/api/items/{item}"),
        (mounted, "/users/eve", "/users/{name}"),
        (mounted, "/raw/x", "/raw"),
        (litestar.Litestar([book]), "/books/3", "/books/{book}"),
    ):
        memory.exporter.clear()
        live: Live = serve_app(app, otel=True)
        if live.backend == "trio" and app is not inner and path.startswith("/books"):
            continue  # Litestar needs a lifespan on asyncio
        with live.connect() as peer:
            assert peer.get(path).status == 200
        span = memory.span()
        assert span.name.partition(" ")[2].replace(":int", "") == route
        assert attributes(span)["http.route"].replace(":int", "") == route
    with live.connect() as peer:
        memory.exporter.clear()
        assert peer.get("/nowhere").status == 404
    assert "http.route" not in attributes(memory.span())


# -- what an application sees


def test_the_span_is_current_in_the_applications_task(memory: Memory, serve_app: Any) -> None:
    """Also after a wait, and for each of several requests at once; what is left of it does not reach the next one."""
    tracer = memory.tracers.get_tracer("of a library")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await pause(0.01)
        with tracer.start_as_current_span("inner"):
            await pause(0.01)
        await respond(send, str(baggage.get_baggage("who")).encode())

    live: Live = serve_app(app, lifespan="off", otel=True)
    with live.connect() as one, live.connect() as two:
        one.send(request("/", TRACEPARENT, "baggage: who=eve"))
        two.send(GET)
        assert (one.response().body, two.response().body) == (b"eve", b"None")
        two.send(GET)
        assert two.response().body == b"None"
    servers = {span.context.span_id: span for span in memory.spans() if span.kind is SpanKind.SERVER}
    inner = [span for span in memory.spans() if span.name == "inner"]
    assert len(servers) == len(inner) == 3
    assert {span.parent.span_id for span in inner if span.parent} == set(servers)
    parents = sorted(format(span.parent.span_id, "016x") if span.parent else "" for span in servers.values())
    assert parents == ["", "", PARENT]
    assert len({span.context.trace_id for span in servers.values()}) == 3


def test_wsgi(memory: Memory, serve_app: Any) -> None:
    tracer = memory.tracers.get_tracer("of a library")

    def app(environ: Any, start_response: Any) -> list[bytes]:
        with tracer.start_as_current_span("inner"):
            start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    live: Live = serve_app(app, mode="wsgi", otel=True)
    with live.connect() as peer:
        peer.send(request("/", TRACEPARENT))
        assert peer.response().body == b"ok"
    eventually(lambda: len(memory.spans()) == 2)
    (inner,) = [span for span in memory.spans() if span.name == "inner"]
    assert inner.parent is not None
    assert inner.parent.span_id == memory.span().context.span_id
    assert format(inner.context.trace_id, "032x") == TRACE


def test_http3(memory: Memory, serve: Any, certificates: Certificates) -> None:
    live = serve(hello, otel=True)
    with LiveClient(live.port) as client:
        assert client.ask().status == 200
    eventually(memory.spans)
    found = attributes(memory.span())
    assert (found["network.protocol.version"], found["url.scheme"]) == ("3", "https")


async def chat(scope: Any, receive: Any, send: Any) -> None:
    """Says the trace that it is in."""
    await receive()
    if scope["path"] == "/no":
        await send({"type": "websocket.close"})
        return
    if scope["path"] == "/wrong":
        raise KeyError("of the application")
    await send({"type": "websocket.accept"})
    text = trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)
    await send({"type": "websocket.send", "text": text})
    await send({"type": "websocket.close"})


def test_websockets(memory: Memory, serve_app: Any) -> None:
    live: Live = serve_app(chat, lifespan="off", otel=True)
    for path, status, error in (("/ws", 101, None), ("/no", 403, None), ("/wrong", 500, "KeyError")):
        memory.exporter.clear()
        with live.connect() as peer:
            peer.send(upgrade(path, TRACEPARENT))
            head = peer.until(b"\r\n\r\n")
            assert head.startswith(f"HTTP/1.1 {status} ".encode())
            if status == 101:
                assert TRACE.encode() in peer.until(TRACE.encode())
        eventually(memory.spans)
        span = memory.span()
        found = attributes(span)
        assert (found["http.request.method"], found["url.scheme"], found["url.path"]) == ("GET", "http", path)
        assert (found["http.response.status_code"], found.get("error.type")) == (status, error)
        assert format(span.context.trace_id, "032x") == TRACE
    sent = {p.attributes["http.response.status_code"]: p.sum for p in memory.points("http.server.response.body.size")}
    assert sent[101] == 2 + len(TRACE)  # with the frame's own


# -- export


class Collector:
    """A collector of OTLP over HTTP, which decodes what it gets."""

    def __init__(self, hangs: bool = False) -> None:
        self.traces: list[ExportTraceServiceRequest] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["content-length"]))
                if hangs:
                    time.sleep(60)
                if self.headers["content-encoding"] == "gzip":
                    data = gzip.decompress(data)
                assert self.headers["content-type"] == "application/x-protobuf"
                if self.path == "/v1/traces":
                    collector.traces.append(ExportTraceServiceRequest.FromString(data))
                else:
                    assert self.path == "/v1/metrics"
                    collector.metrics.append(ExportMetricsServiceRequest.FromString(data))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[tuple[dict[str, Any], Any]]:
        """Spans, each with the attributes of its resource."""
        return [
            (plain(group.resource.attributes), span)
            for one in self.traces
            for group in one.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    def points(self, name: str) -> list[tuple[dict[str, Any], Any]]:
        """Points of a histogram, each with the attributes of its resource."""
        return [
            (plain(group.resource.attributes), point)
            for one in self.metrics
            for group in one.resource_metrics
            for scope in group.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.histogram.data_points
        ]

    def __enter__(self) -> Collector:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def plain(pairs: Any) -> dict[str, Any]:
    """Attributes of protobuf as a dict."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@pytest.fixture(name="collector")
def _collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_every_worker_exports(worker_class: str, collector: Collector) -> None:
    """Each by itself, all that there is at a graceful stop, as the variables of OpenTelemetry say."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "shop"}
    variables |= {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test", "OTEL_BSP_SCHEDULE_DELAY": "60000"}
    arguments = ("-b", "127.0.0.1:0", "-w", "2", "-k", worker_class, "--otel", "tests.supervisor.apps:app")
    answered: dict[int, int] = {}
    with Command(*arguments, HYPERCORN_CONTROL="none", **variables) as command:
        command.address()
        end = time.monotonic() + PATIENCE
        while len(answered) < 2 and time.monotonic() < end:
            peers = [command.connect() for _ in range(4)]  # both accept
            for peer in peers:
                peer.send(request("/", TRACEPARENT))
            for peer in peers:
                pid = int(peer.response().body)
                answered[pid] = answered.get(pid, 0) + 1
                peer.close()
        assert command.end(signal.SIGTERM) == 0
    assert len(answered) == 2
    for pid, count in answered.items():
        own = [(resource, span) for resource, span in collector.spans() if resource["process.pid"] == pid]
        assert len(own) == count
        for resource, span in own:
            assert resource["service.name"] == "shop"
            assert resource["deployment.environment.name"] == "test"
            assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
            assert span.kind == span.SPAN_KIND_SERVER
            assert plain(span.attributes)["http.response.status_code"] == 200
        points = [
            point for where, point in collector.points("http.server.request.duration") if where["process.pid"] == pid
        ]
        assert points[-1].count == count
    assert len({resource["service.instance.id"] for resource, _ in collector.spans()}) == 2


def test_the_example(collector: Collector) -> None:
    arguments = ("-b", "127.0.0.1:0", "-w", "1", "--otel", "examples.traced:app")
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HYPERCORN_CONTROL": "none"}
    with Command(*arguments, **variables) as command:
        command.address()
        with command.connect() as peer:
            peer.send(request("/", TRACEPARENT))
            assert peer.response().body == f"hello, trace {TRACE}\n".encode()
        assert command.end(signal.SIGTERM) == 0
    spans = {span.name: span for _, span in collector.spans()}
    assert set(spans) == {"GET", "greeting"}
    assert spans["greeting"].parent_span_id == spans["GET"].span_id


def test_a_collector_that_hangs_holds_up_no_stop() -> None:
    with Collector(hangs=True) as collector:
        arguments = ("-b", "127.0.0.1:0", "-w", "1", "--otel", "tests.supervisor.apps:app")
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "HYPERCORN_CONTROL": "none"}
        with Command(*arguments, **variables) as command:
            command.address()
            with command.connect() as peer:
                assert peer.get().status == 200
            before = time.monotonic()
            assert command.end(signal.SIGTERM) == 0
            assert time.monotonic() - before < 8


def test_providers_of_the_application_are_used() -> None:
    """In a process of its own, as they can be set once only. Nothing but them exports."""
    program = """
import json, sys
from opentelemetry import trace, metrics
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.metrics import MeterProvider
mine, meters = TracerProvider(), MeterProvider()
trace.set_tracer_provider(mine)
metrics.set_meter_provider(meters)
from hypercorn.asgi.telemetry import tracer_provider, meter_provider
print(json.dumps([tracer_provider() is mine, meter_provider() is meters]))
"""
    assert json.loads(output_of(program)) == [True, True]


def test_providers_of_the_server_are_set_for_libraries() -> None:
    program = """
import json
from opentelemetry import trace, metrics
from hypercorn.asgi.telemetry import tracer_provider, meter_provider
made, meters = tracer_provider(), meter_provider()
print(json.dumps([trace.get_tracer_provider() is made is tracer_provider(),
                  metrics.get_meter_provider() is meters is meter_provider(),
                  len(made._active_span_processor._span_processors)]))
"""
    assert json.loads(output_of(program)) == [True, True, 1]
    assert json.loads(output_of(program, OTEL_TRACES_EXPORTER="none", OTEL_METRICS_EXPORTER="none")) == [True, True, 0]


def test_what_is_off_is_not_imported() -> None:
    program = """
import sys
from hypercorn.config import Config
from hypercorn.testing import MemoryServer
async def app(scope, receive, send): pass
config = Config()
exec(sys.argv[1])
MemoryServer(app, config)
print([name for name in sys.modules if name.startswith("opentelemetry") or name in (
    "hypercorn.asgi.observed", "hypercorn.asgi.telemetry", "hypercorn.asgi.wsgi_timing")][:1])
"""
    assert output_of(program, "pass").strip() == "[]"
    assert output_of(program, "config.otel = True").strip() != "[]"  # the check can fail
    assert output_of(program, "config.otel = True", OTEL_SDK_DISABLED="true").count("observed") == 0


def output_of(program: str, *arguments: str, **variables: str) -> str:
    """What a program prints."""
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment(), **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


def test_bad_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "zipkin")
    with pytest.raises(ConfigError, match="OTEL_TRACES_EXPORTER=zipkin: expected otlp or none"):
        telemetry.exports("traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http", None)
    with pytest.raises(ConfigError, match=r"otel .*needs opentelemetry.exporter.otlp.proto.http: pip install"):
        config(otel=True)
    assert Config().otel is False
