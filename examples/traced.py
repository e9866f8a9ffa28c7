"""Traces without middleware: the server makes a span of each request, and the application's spans are its children.

    pip install 'hypercorn[otel]'
    OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 hypercorn --otel -w 2 examples.traced:app

`docker run -p 4318:4318 -p 16686:16686 jaegertracing/jaeger` is a collector that shows them, on port 16686.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import trace

tracer = trace.get_tracer(__name__)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says in which trace it was called."""
    if scope["type"] != "http":
        return
    with tracer.start_as_current_span("greeting") as span:
        span.set_attribute("greeting.path", scope["path"])
        body = f"hello, trace {trace.format_trace_id(span.get_span_context().trace_id)}\n".encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
