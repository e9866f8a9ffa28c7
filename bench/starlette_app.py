"""A Starlette application with one JSON answer: what a framework adds on top of a server."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def home(request: Request) -> JSONResponse:
    """The one page."""
    return JSONResponse({"message": "Hello, world!", "path": request.url.path})


app = Starlette(routes=[Route("/", home)])
