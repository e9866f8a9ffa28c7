"""Applications that the tests of the command name on its command line."""

from __future__ import annotations

import sys
from typing import Any

from tests.support.answers import Gate, lifespan, pause, respond

not_an_app = 7
never = Gate()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/slow takes 0.5 s, /forever does not end, everything else says ok. Says when its lifespan ends."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        print("shutdown complete", flush=True)
        return
    if scope["path"] == "/slow":
        print("inside", flush=True)
        await pause(0.5)
    elif scope["path"] == "/forever":
        print("inside", flush=True)
        await never.wait()
    await respond(send, b"ok")


def make(greeting: str) -> Any:
    """A factory."""

    async def made(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await respond(send, greeting.encode())

    return made


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    """A WSGI application."""
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"wsgi"]


async def failing(scope: Any, receive: Any, send: Any) -> None:
    """Its startup fails."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def failing_shutdown(scope: Any, receive: Any, send: Any) -> None:
    """Its shutdown fails."""
    if scope["type"] == "http":
        await respond(send)
        return
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "still busy"})


async def loop_name(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the name of the loop that it runs on."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    if "trio" in sys.modules:
        import trio

        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            pass
        else:
            await respond(send, b"trio")
            return
    import asyncio

    await respond(send, type(asyncio.get_running_loop()).__module__.partition(".")[0].encode())
