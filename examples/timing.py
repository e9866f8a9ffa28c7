"""Server-Timing: a WSGI application says how long its query took, and the server adds what it measured itself.

    hypercorn --server-timing on examples.timing:app
    curl -sD - -o /dev/null http://127.0.0.1:8000/ | grep server-timing

The page shows the times of its own request, of which `queue` and `app` are the server's. A browser's developer tools
show them too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

PAGE = b"""<!doctype html>
<title>Server-Timing</title>
<h1>Server-Timing</h1>
<ul id="list"></ul>
<script>
const [page] = performance.getEntriesByType("navigation");
for (const { name, duration } of page.serverTiming) {
  const item = document.createElement("li");
  item.textContent = `${name}: ${duration} ms`;
  list.append(item);
}
</script>
"""


def query() -> None:
    """Takes as long as a database might."""
    time.sleep(0.02)


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Serves the page, with a `Server-Timing` field for the query."""
    began = time.perf_counter()
    query()
    took = (time.perf_counter() - began) * 1000
    fields = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(PAGE))),
        ("Server-Timing", f"db;dur={took:.1f}"),
    ]
    start_response("200 OK", fields)
    return [PAGE]
