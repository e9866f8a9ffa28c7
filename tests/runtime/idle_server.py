"""A server that answers questions about its own process: `python -m tests.runtime.idle_server BACKEND DRIVER`.

It prints its port; then for each line on standard input, `memory` or `switches`, a number. Another line ends it.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from typing import Any

from tests.runtime.serving import Trigger
from tests.support.live import hello, library, run

from hypercorn.config import Config


def field(path: str, name: str) -> int:
    """A number from one of the files in /proc."""
    with open(path) as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    raise LookupError(name)


def talk(trigger: Trigger) -> None:
    """Answers until told to end."""
    for line in sys.stdin:
        if line == "memory\n":
            gc.collect()
            print(field("/proc/self/smaps_rollup", "Pss") * 1024, flush=True)
        elif line == "switches\n":
            print(field(f"/proc/self/task/{os.getpid()}/status", "voluntary_ctxt_switches"), flush=True)
        else:
            break
    trigger.waiting.wait()
    trigger.set()


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Says hello; a WebSocket is accepted, and then just read."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            continue
    else:
        await hello(scope, receive, send)


async def main(backend: str, driver: str) -> None:
    """Serves until `talk` ends."""
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.error_log = None
    config.backlog = 1024
    config.keep_alive_timeout = 60.0
    config.runtime = driver
    trigger = Trigger(backend)
    async with library(backend).server(app, config) as running:
        print(running.addresses[0].rsplit(":", 1)[1], flush=True)
        threading.Thread(target=talk, args=(trigger,)).start()
        await trigger.wait()


if __name__ == "__main__":
    run(sys.argv[1], main, *sys.argv[1:])
