"""Real WebSocket clients hold a chat through the example application: websockets, aiohttp, trio-websocket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from tests.support.live import Live

chat = pytest.importorskip("examples.chat", reason="the examples are not beside the tests")


@pytest.fixture
def live(serve_app: Callable[..., Live], monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    monkeypatch.setattr(chat, "room", chat.Room())
    return serve_app(chat.app, graceful_timeout=0.1)  # type: ignore[return-value]


WORDS = ["hello", "ü" * 300, "x" * 2000]


def expected(name: str, words: list[str]) -> list[tuple[str, Any]]:
    return [("welcome", name), ("came", name), *(("said", word) for word in words)]


def told(raw: Any) -> tuple[str, Any]:
    message = json.loads(raw)
    return message["kind"], message["text"] if message["kind"] == "said" else message["name"]


def test_websockets(live: Live) -> None:
    websockets = pytest.importorskip("websockets")

    async def main() -> tuple[list[Any], Any]:
        async with websockets.connect(f"ws://127.0.0.1:{live.port}/chat") as socket:
            await socket.send("Ada")
            for word in WORDS:
                await socket.send(word)
            seen = [told(await socket.recv()) for _ in range(5)]
            await (await socket.ping())
            extensions = [each.name for each in socket.protocol.extensions]
        return seen, (socket.close_code, extensions)

    seen, end = asyncio.run(main())
    assert seen == expected("Ada", WORDS)
    assert end == (1000, ["permessage-deflate"])
    assert live.errors() == []


def test_websockets_is_refused_another_path(live: Live) -> None:
    websockets = pytest.importorskip("websockets")

    async def main() -> int:
        try:
            await websockets.connect(f"ws://127.0.0.1:{live.port}/other")
        except websockets.InvalidStatus as error:
            return int(error.response.status_code)
        return 101

    assert asyncio.run(main()) == 403


def test_aiohttp(live: Live) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def main() -> tuple[list[Any], int]:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{live.port}/chat", compress=15) as socket,
        ):
            await socket.send_str("Ben")
            for word in WORDS:
                await socket.send_str(word)
            seen = [told(await socket.receive_str()) for _ in range(5)]
            await socket.close(code=4000)
            return seen, socket.close_code

    assert asyncio.run(main()) == (expected("Ben", WORDS), 4000)
    assert live.errors() == []


def test_trio_websocket(live: Live) -> None:
    library = pytest.importorskip("trio_websocket")

    async def main() -> list[Any]:
        async with library.open_websocket_url(f"ws://127.0.0.1:{live.port}/chat") as socket:
            await socket.send_message("Cleo")
            for word in WORDS:
                await socket.send_message(word)
            seen = [told(await socket.get_message()) for _ in range(5)]
            await socket.ping()
            return seen

    assert trio.run(main) == expected("Cleo", WORDS)
    assert live.errors() == []


def test_two_of_them_talk(live: Live) -> None:
    websockets = pytest.importorskip("websockets")

    async def main() -> list[Any]:
        url = f"ws://127.0.0.1:{live.port}/chat"
        async with websockets.connect(url) as first, websockets.connect(url, compression=None) as second:
            await first.send("one")
            assert [told(await first.recv()) for _ in range(2)] == [("welcome", "one"), ("came", "one")]
            await second.send("one")
            assert told(await second.recv()) == ("welcome", "one 2")
            for socket in (first, second):
                assert told(await socket.recv()) == ("came", "one 2")
            await first.send("hi")
            return [told(await socket.recv()) for socket in (first, second)]

    assert asyncio.run(main()) == [("said", "hi")] * 2
