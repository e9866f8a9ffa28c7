"""HTTPS while developing, from a program: says by which version of HTTP each request came.

pip install 'hypercorn[tls,h3]' && python -m examples.dev_tls [PORT]

The log says how to trust the certificate's authority, which is your own. Then open https://127.0.0.1:8443/.
"""

from __future__ import annotations

import sys
from typing import Any

import hypercorn


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scheme and the version of HTTP."""
    if scope["type"] != "http":
        return
    body = f"{scope['scheme']}, HTTP/{scope['http_version']}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    hypercorn.run(
        "examples.dev_tls:app", port=int(sys.argv[1]) if len(sys.argv) > 1 else 8443, dev_tls=True, http3=True
    )
