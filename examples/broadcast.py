"""Prices for many windows: `hypercorn --websocket-broadcast examples.broadcast:app`, then open some.

A worker has one source of prices, and every window is a WebSocket that subscribes to them. A window that does not read
misses prices; the others do not wait for it. It needs nothing but Python, and runs alike on asyncio, uvloop and trio.
"""

from __future__ import annotations

import json
import random
from typing import Any

EXTENSION = "hypercorn.websocket.broadcast"
PAGE = b"""<!doctype html><title>Prices</title><h1>Prices</h1><button>Next price</button><pre></pre>
<script>
const socket = new WebSocket(location.href.replace("http", "ws") + "prices");
socket.onmessage = (event) => (document.querySelector("pre").textContent = event.data + "\\n" +
    document.querySelector("pre").textContent.slice(0, 2000));
document.querySelector("button").onclick = () => fetch("/next", {method: "POST"});
</script>
"""


async def follow(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """One window, until it is closed."""
    await receive()
    await send({"type": "websocket.accept"})
    scope["extensions"][EXTENSION].subscribe("prices", when_full="drop")
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """The application: `/` is the page, `/prices` the WebSocket, and a POST to `/next` sends a price to all windows."""
    if scope["type"] == "lifespan":
        for stage in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{stage}.complete"})
    elif EXTENSION not in scope["extensions"]:
        raise RuntimeError("start the server with --websocket-broadcast")
    elif scope["type"] == "websocket":
        await follow(scope, receive, send)
    else:
        status, body, kind = 404, b"There is nothing here. Try /\n", b"text/plain; charset=utf-8"
        if (scope["method"], scope["path"]) == ("POST", "/next"):
            price = json.dumps({"price": round(random.uniform(90, 110), 2)})
            windows = await scope["extensions"][EXTENSION].send("prices", price)
            status, body = 200, b"sent to %d windows\n" % windows
        elif scope["path"] == "/":
            status, body, kind = 200, PAGE, b"text/html; charset=utf-8"
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
