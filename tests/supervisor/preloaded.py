"""An application that says which process imported it."""

from __future__ import annotations

import os
from typing import Any

from tests.support.answers import lifespan, respond

IMPORTED_BY = os.getpid()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The importing process, and this one."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await respond(send, b"%d %d" % (IMPORTED_BY, os.getpid()))
