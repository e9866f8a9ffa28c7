"""Limits for each client, with the settings beside the application:

    hypercorn --config python:examples.client_limits.Settings examples.client_limits:app

Ask it often: `for i in $(seq 9); do curl -i http://127.0.0.1:8000/; done`. Five requests get a response at once, then
one each half second. The others get 429, with the seconds to wait in `Retry-After`, and do not reach the application.
`/webhooks` is not limited.
"""

from __future__ import annotations

from typing import Any


class Settings:
    """Options of the server. Each worker counts by itself, so there is one."""

    workers = 1
    client_request_rate = 2.0  # requests a second
    client_request_burst = 5  # at once
    client_connections = 20
    client_exempt_paths = ("/webhooks",)


served = 0


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says how many requests came as far as here."""
    global served
    if scope["type"] != "http":
        return
    served += 1
    body = f"request {served}\n".encode()
    fields = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": body})
