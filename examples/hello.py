"""A page that says hello, as a plain ASGI application: `hypercorn examples.hello:app`.

It needs nothing but Python, and runs alike on asyncio, uvloop and trio.
"""

from __future__ import annotations

import html
import sys
from typing import Any

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hello from Hypercorn</title>
<link rel="icon" href="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 100 100'><text y='.9em' font-size='90'>&#127805;</text></svg>">
<style>
:root {{ color-scheme: light dark; --ink: #222; --soft: #666; --paper: #faf8f2; --card: #fff; --line: #e5dfd0; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #eee; --soft: #aaa; --paper: #191713; --card: #23201a; --line: #3a352a; }}
}}
body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--paper);
       color: var(--ink); font: 1rem/1.6 system-ui, sans-serif; }}
main {{ background: var(--card); border: 1px solid var(--line); border-radius: 1rem; padding: 2rem 2.5rem;
       margin: 1rem; max-width: 34rem; }}
h1 {{ margin: 0 0 .5rem; font-size: 2rem; }}
p {{ color: var(--soft); margin: 0 0 1.25rem; }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.25rem; margin: 0; }}
dt {{ color: var(--soft); }}
dd {{ margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<main>
<h1>Hello!</h1>
<p>Hypercorn serves this page. Here is what your browser sent.</p>
<dl>
{rows}
</dl>
</main>
</body>
</html>
"""  # noqa: E501  the icon is one long value


def page(scope: dict[str, Any]) -> bytes:
    """The page for a request: what it was, as a table."""
    headers = dict(scope["headers"])
    client = scope["client"]
    facts = {
        "request": f"{scope['method']} {scope['path']}",
        "protocol": f"{scope['scheme']}, HTTP/{scope['http_version']}",
        "from": f"{client[0]} port {client[1]}" if client else "a unix socket",
        "browser": headers.get(b"user-agent", b"unknown").decode("latin-1"),
        "python": sys.version.split()[0],
    }
    rows = "\n".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in facts.items())
    return PAGE.format(rows=rows).encode()


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application: `/` is the page, and there is nothing else."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if scope["type"] != "http":
        raise ValueError(f"no {scope['type']} here")
    found = scope["path"] == "/"
    body = page(scope) if found else b"There is nothing here. Try /\n"
    kind = b"text/html; charset=utf-8" if found else b"text/plain; charset=utf-8"
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Any, send: Any) -> None:
    """Answers the server when it starts and when it ends; a database would be opened and closed here."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
