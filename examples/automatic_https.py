"""Automatic HTTPS from a program: a certificate for each name given, and a redirect for who comes by plain HTTP.

pip install 'hypercorn[acme]' && python -m examples.automatic_https example.org www.example.org

It listens on ports 80 and 443, which the names have to lead to, and gets the certificate from Let's Encrypt, whose
terms you agree to. To try it out, set HYPERCORN_ACME_DIRECTORY=staging, for certificates that no browser trusts.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import hypercorn
from hypercorn.config import Config
from hypercorn.middleware import HTTPToHTTPSRedirectMiddleware


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the scheme and the version of HTTP."""
    if scope["type"] != "http":
        return
    body = f"{scope['scheme']}, HTTP/{scope['http_version']}\n".encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


# Challenges are answered before it. Host None: where the request's own Host field says.
app = HTTPToHTTPSRedirectMiddleware(hello, host=None)


def configuration(names: list[str]) -> Config:
    """The options; variables such as HYPERCORN_BIND and HYPERCORN_ACME_STATE come on top."""
    config = Config(acme=names, bind=["0.0.0.0:443"], insecure_bind=["0.0.0.0:80"])
    config.update_from_environ(os.environ)
    return config


if __name__ == "__main__":
    if not sys.argv[1:]:
        sys.exit(__doc__)
    hypercorn.run("examples.automatic_https:app", configuration(sys.argv[1:]))
