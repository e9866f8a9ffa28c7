"""What the servers are asked, and what they must answer before their speed counts."""

from __future__ import annotations

from typing import NamedTuple

from bench.apps import BODIES, PIECE, PIECES

PLAIN_APP = "bench.apps:app"
STARLETTE_APP = "bench.starlette_app:app"
WSGI_APP = "bench.wsgi_app:app"
VARIED_APP = "bench.varied_app:app"
FASTAPI_APP = "bench.fastapi_app:app"
# As a browser asks for a page.
BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Accept-Language": "en-GB,en;q=0.9",
    "Accept-Encoding": "gzip, deflate, br",
    "Cookie": "session=0123456789abcdef0123456789abcdef; theme=dark; csrftoken=abcdef0123456789",
    "Cache-Control": "max-age=0",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
}


class Case(NamedTuple):
    """One kind of load."""

    title: str
    path: str = "/"
    connections: int = 64
    app: str = PLAIN_APP
    tls: bool = False
    browser: bool = False  # with a browser's headers
    post: int = 0  # bytes of request body
    pipelined: int = 1  # requests sent together
    varied: bool = False  # no path, cookie or trace id comes twice
    closing: bool = False  # a new connection for each request
    http2: bool = False  # by h2load, with 32 streams on each connection
    answer: int = len(BODIES["/"])  # bytes of response body; 0: any
    interface: str = "asgi"


CASES = {
    "hello": Case("hello"),
    "hello-c1": Case("hello, 1 connection", connections=1),
    "hello-c512": Case("hello, 512 connections", connections=512),
    "headers": Case("browser's headers", browser=True),
    "10k": Case("10 KiB body", "/10k", answer=10240),
    "1m": Case("1 MiB body", "/1m", 16, answer=1048576),
    "stream": Case("32 chunks streamed", "/stream", answer=len(PIECE) * PIECES),
    "sleep0": Case("one loop turn in the app", "/sleep0"),
    "pipeline": Case("16 pipelined", pipelined=16),
    "echo1k": Case("echo 1 KiB", "/echo", post=1024, answer=1024),
    "echo64k": Case("echo 64 KiB", "/echo", 32, post=65536, answer=65536),
    "echo1m": Case("echo 1 MiB", "/echo", 8, post=1048576, answer=1048576),
    "starlette": Case("Starlette JSON", app=STARLETTE_APP, answer=0),
    "tls": Case("hello over TLS", tls=True),
    "h2": Case("hello over HTTP/2", connections=16, tls=True, http2=True),
    "h2-10k": Case("10 KiB over HTTP/2", "/10k", 16, answer=10240, tls=True, http2=True),
    # What follows repeats nothing: no request, no response, no connection, or a framework's whole work.
    "varied": Case("nothing comes twice", "/items/1", app=VARIED_APP, varied=True, answer=0),
    "varied-tls": Case("the same over TLS", "/items/1", app=VARIED_APP, varied=True, tls=True, answer=0),
    "varied-h2": Case("the same over HTTP/2", "/items/1", 16, VARIED_APP, True, varied=True, answer=0, http2=True),
    "wait": Case("the call waits 1 ms", "/wait", app=VARIED_APP, answer=0),
    "wait-h2": Case("the call waits 1 ms, HTTP/2", "/wait", 16, VARIED_APP, True, answer=0, http2=True),
    "fastapi": Case("FastAPI, async route", "/users/7/items/42?limit=5&q=lamp", app=FASTAPI_APP, answer=0),
    "fastapi-sync": Case("FastAPI, sync route", "/sync/42", app=FASTAPI_APP, answer=0),
    "new": Case("a new connection each", closing=True),
    "new-tls": Case("a new TLS connection each", closing=True, tls=True),
    "1m-new": Case("1 MiB, new each time", "/mebibyte", 16, VARIED_APP, answer=1048576),
    "1m-new-h2": Case("1 MiB, new each time, HTTP/2", "/mebibyte", 4, VARIED_APP, True, answer=1048576, http2=True),
    "wsgi": Case("WSGI hello", app=WSGI_APP, interface="wsgi"),
    "wsgi-headers": Case("WSGI, browser's headers", app=WSGI_APP, interface="wsgi", browser=True),
    "wsgi-echo1k": Case("WSGI echo 1 KiB", "/echo", app=WSGI_APP, interface="wsgi", post=1024, answer=1024),
    "wsgi-echo64k": Case("WSGI echo 64 KiB", "/echo", 32, WSGI_APP, interface="wsgi", post=65536, answer=65536),
    "wsgi-echo1m": Case("WSGI echo 1 MiB", "/echo", 8, WSGI_APP, interface="wsgi", post=1048576, answer=1048576),
}
