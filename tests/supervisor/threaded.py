"""Applications with threads of their own that go on when the server ends. `TEST_START` says of which kind."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import sniffio
from tests.support.answers import lifespan, respond

HOW = os.environ.get("TEST_START", "")
FILE = os.environ.get("TEST_FILE", "")


def busy_function(seconds: float) -> None:
    """What keeps a thread."""
    os.write(1, b"inside\n")
    time.sleep(seconds)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/N keeps a thread for N seconds."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        if HOW == "after":  # the shutdown starts a thread, of which it takes no more notice
            threading.Thread(target=busy_function, args=(60,), name="straggler").start()
        os.write(1, b"shutdown complete\n")
        return
    seconds = float(scope["path"].strip("/") or 0)
    work = partial(busy_function, seconds)
    if HOW == "thread":
        threading.Thread(target=work, name="straggler").start()
    elif HOW == "executor" and sniffio.current_async_library() == "asyncio":
        await asyncio.get_running_loop().run_in_executor(None, work)
    elif HOW == "forgotten" and sniffio.current_async_library() == "asyncio":
        asyncio.get_running_loop().run_in_executor(None, work)
    else:
        await anyio.to_thread.run_sync(work)
    await respond(send)


def at_exit() -> None:
    """Something that has to be done at the end."""
    Path(FILE).write_text("done")


if FILE:
    import atexit

    atexit.register(at_exit)
