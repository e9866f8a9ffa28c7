"""An application that sends the same message to all its clients, one of whom is gone, and how plain tasks run it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import trio
from tests.equivalence.driver import Exchange, messages_of, starter
from tests.support.live import in_trio, pause, respond, run

LISTENERS = ["/one", "/gone", "/two"]
SPEAKER = "/speaker"


def said(outcome: Any) -> str:
    """How one `send` ended."""
    return "sent" if outcome is None else "gone" if isinstance(outcome, OSError) else repr(outcome)


async def settled(awaitables: list[Awaitable[None]]) -> list[Any]:
    """`asyncio.gather` with exceptions returned; the same on trio."""
    if not in_trio():
        return await asyncio.gather(*awaitables, return_exceptions=True)
    outcomes: list[Any] = [...] * len(awaitables)

    async def settle(number: int) -> None:
        try:
            outcomes[number] = await awaitables[number]
        except Exception as error:
            outcomes[number] = error

    async with trio.open_nursery() as nursery:
        for number in range(len(awaitables)):
            nursery.start_soon(settle, number)
    return outcomes


class Room:
    """The application. Its clients listen until the speaker has spoken; each call tells what it observed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.clients: dict[str, Any] = {}
        self.told: dict[str, list[str]] = {}
        self.spoken = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        told = self.told[path] = []
        if path == SPEAKER:
            await self.speak(receive, send, told)
        else:
            await self.listen(path, receive, send, told)

    def message(self, text: str) -> dict[str, Any]:
        """A piece of a response, or a message."""
        if self.kind == "websocket":
            return {"type": "websocket.send", "text": text}
        return {"type": "http.response.body", "body": text.encode(), "more_body": True}

    async def listen(self, path: str, receive: Any, send: Any, told: list[str]) -> None:
        """A client's call."""
        await receive()
        if self.kind == "websocket":
            await send({"type": "websocket.accept"})
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
        self.clients[path] = send
        if path == "/gone":
            told.append((await receive())["type"])
            return
        while not self.spoken:
            await pause(0.001)
        told.append("heard")
        last = {"type": "websocket.close"} if self.kind == "websocket" else {"type": "http.response.body"}
        await send(last)

    async def speak(self, receive: Any, send: Any, told: list[str]) -> None:
        """Sends to all, in the ways that applications have for that."""
        await receive()
        clients = [self.clients[path] for path in LISTENERS]
        try:
            made = [client(self.message("gathered ")) for client in clients]
            told.append("nothing is sent, and nothing raised, before it is awaited")
            told.append(f"gathered: {[said(outcome) for outcome in await settled(made)]}")
            if not in_trio():
                await self.speak_by_tasks(clients, told)
            for client in clients:
                try:
                    await client(self.message("one by one "))
                except OSError:
                    told.append("an OSError")
        finally:
            self.spoken = True
        await respond(send, b"spoken")

    async def speak_by_tasks(self, clients: list[Any], told: list[str]) -> None:
        """As tasks, which begin after what is awaited meanwhile, and as a gathering that the first error ends."""
        tasks = [asyncio.create_task(client(self.message("by a task "))) for client in clients]
        await clients[0](self.message("before the tasks "))
        done, _ = await asyncio.wait(tasks)
        told.append(f"tasks: {[said(task.exception()) for task in tasks]}, {len(done)}")
        try:
            await asyncio.gather(*(client(self.message("together ")) for client in clients))
        except OSError:
            told.append("the gathering raised it")
        await asyncio.sleep(0)


def in_plain_tasks(backend: str, room: Room) -> dict[str, str]:
    """Runs it in plain tasks. Gives what reached each client."""
    exchanges: dict[str, Exchange] = {}

    async def main() -> None:
        for path in LISTENERS:
            exchanges[path] = Exchange(room.kind, path, messages_of(room.kind, []))
        exchanges[SPEAKER] = Exchange("http", SPEAKER, messages_of("http", []))
        async with starter(backend) as start:
            for number, path in enumerate(LISTENERS, 1):
                start(room, exchanges[path])
                while len(room.clients) < number:
                    await pause(0.001)
            exchanges["/gone"].leave()
            while not room.told["/gone"]:
                await pause(0.001)
            start(room, exchanges[SPEAKER])

    run(backend, main)
    return {path: exchange.text() for path, exchange in exchanges.items() if path != "/gone"}
