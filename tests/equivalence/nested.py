"""A program: an application that runs its loop inside of itself, by nest_asyncio, in plain tasks and under the server.

It is a process of its own, because nest_asyncio changes asyncio for good. Its argument is who moves the bytes. It
prints what the calls observed, as JSON: in plain tasks, and under the server.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any

import nest_asyncio
from tests.equivalence.driver import drive
from tests.equivalence.programs import VARIABLE
from tests.support.live import Live, respond
from tests.support.peer import request

PATHS = ["/nested", "/again", "/deep"]


def application(events: list[list[str]], port: Callable[[], int]) -> Any:
    """It tells what it observed while its loop runs inside of its step."""

    async def inner(depth: int, said: list[str]) -> str:
        said.append(f"inside, {depth}: {VARIABLE.get()}, {asyncio.current_task() is not None}")
        await asyncio.sleep(0.001)
        if depth:
            return str(asyncio.get_event_loop().run_until_complete(inner(depth - 1, said)))
        return "result"

    async def ask_itself() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port())
        writer.write(request("/plain", "Connection: close"))
        answer = await reader.read()
        writer.close()
        return answer

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/plain":
            await respond(send, b"plain")
            return
        if scope["path"] == "/itself":
            await respond(send, asyncio.get_event_loop().run_until_complete(ask_itself()))
            return
        said: list[str] = []
        events.append(said)
        task = asyncio.current_task()
        VARIABLE.set(scope["path"])
        said.append(asyncio.get_event_loop().run_until_complete(inner(3 * (scope["path"] == "/deep"), said)))
        said.append(f"the same task: {asyncio.current_task() is task}")
        await asyncio.sleep(0)
        said.append(f"the same task: {asyncio.current_task() is task}")
        await respond(send, b"ok")

    return app


def main() -> None:
    plain: list[list[str]] = []
    served: list[list[str]] = []
    nest_asyncio.apply(asyncio.new_event_loop())
    drive("asyncio", application(plain, lambda: 0), "http", [(path, [""]) for path in PATHS])
    live = Live(application(served, lambda: live.port), "asyncio", runtime=sys.argv[1], lifespan="off")
    with live.connect() as peer, live.connect() as other:
        peer.send(b"".join(map(request, PATHS)))
        answers = [peer.response().body.decode() for _ in PATHS]
        for one in (peer, other) * 3:
            one.send(request("/itself") * 2)
        answers += [one.response().body.decode()[-5:] for one in (peer, other) * 6]
    live.stop()
    json.dump({"plain": plain, "served": served, "answers": answers, "errors": live.errors()}, sys.stdout)


if __name__ == "__main__":
    main()
