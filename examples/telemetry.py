"""Traces: one span for each request, and one for the work inside of it, from every worker.

    pip install opentelemetry-sdk opentelemetry-instrumentation-asgi
    hypercorn -w 4 examples.telemetry:app

Spans go to the file that SPANS names, else to stdout. To send them to a collector, put
`opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter()` in the place of the exporter below.
A `traceparent` field of a request makes its span a part of the caller's trace.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

# Each worker imports this module, so each has a provider and an exporting thread of its own.
provider = TracerProvider(resource=Resource.create({"service.name": "hello", "process.pid": os.getpid()}))
path = os.environ.get("SPANS")
out = open(path, "a", buffering=1, encoding="utf-8") if path else sys.stdout  # noqa: SIM115
provider.add_span_processor(
    BatchSpanProcessor(ConsoleSpanExporter(out=out, formatter=lambda span: span.to_json(indent=None) + "\n"))
)
tracer = provider.get_tracer(__name__)


async def hello(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says who answered."""
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                provider.shutdown()  # what has not been exported yet
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    with tracer.start_as_current_span("greeting") as span:
        span.set_attribute("worker", os.getpid())
        body = f"hello from {os.getpid()}, trace {trace.format_trace_id(span.get_span_context().trace_id)}\n".encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})


app = OpenTelemetryMiddleware(hello, tracer_provider=provider)
