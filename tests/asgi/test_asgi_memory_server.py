"""The server in memory as a tool: its clock, its tasks, its peer."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.harness import EAGERNESS, GET, Answers, body, response, start

import hypercorn.testing
from hypercorn.runtime.memory import MemoryRuntime
from hypercorn.testing import Cancelled, Event, connect, sleep, start_task


def test_the_example_of_the_documentation() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    client = connect(app)
    client.send(b"GET / HTTP/1.1\r\nhost: example\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 200 OK\r\n")
    client.advance(5.0)
    assert client.closed
    assert set(hypercorn.testing.__all__) <= set(dir(hypercorn.testing))


def test_timers_run_in_order_at_their_own_time() -> None:
    runtime = MemoryRuntime()
    begin = runtime.now()
    seen: list[tuple[str, float]] = []
    for name, delay in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("late", 3.1)):
        runtime.call_at(begin + delay, lambda name=name: seen.append((name, runtime.now() - begin)))  # type: ignore[misc]  # a default is no argument
    runtime.call_at(begin + 1, lambda: seen.append(("never", 0))).cancel()
    runtime.advance(3)
    assert seen == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert runtime.now() == begin + 3


@EAGERNESS
def test_tasks_give_results_and_errors(eager: bool) -> None:
    results: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def good() -> int:
            await sleep(1)
            return 5

        async def bad() -> None:
            await sleep(0.5)
            raise KeyError("x")

        async def endless() -> None:
            try:
                await sleep(1000)
            finally:
                results.append("ended")

        tasks = [start_task(good()), start_task(bad()), start_task(endless())]
        results.append(await tasks[0])
        for task, error in ((tasks[1], KeyError), (tasks[2], Cancelled)):
            task.cancel()  # does nothing to one that has ended
            with pytest.raises(error):
                await task
        await Answers()(scope, receive, send)

    client = connect(app, eager=eager)
    client.send(GET)
    client.advance(2)
    assert results == [5, "ended"]
    assert response(client).status == 200


def test_an_event_wakes_all_who_wait() -> None:
    event = Event()
    woken: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await event.wait()
        woken.append(1)
        await event.wait()
        await Answers()(scope, receive, send)

    client = connect(app)
    other = client.server.connect()
    client.send(GET)
    other.send(GET)
    assert woken == []
    event.set()
    assert response(client).status == 200
    assert response(other).status == 200
    assert woken == [1, 1]


def test_an_endless_loop_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hypercorn.runtime.memory.ENDLESS", 1000)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            await sleep(0)

    client = connect(app)
    with pytest.raises(RuntimeError, match="do not come to rest"):
        client.send(GET)


def test_the_kernel_takes_what_the_peer_reads() -> None:
    client = connect(Answers(start(), body(b"x" * 1000)))
    client.stop_reading()
    client.send(GET)
    assert client.received() == b""
    first = client.read(100)
    assert len(first) == 100
    assert client.received() == b""
    client.start_reading()
    assert (first + client.received()).endswith(b"x" * 1000)


def test_a_client_that_is_gone_sends_nothing() -> None:
    app = Answers()
    client = connect(app)
    client.disconnect()
    client.send(GET)
    client.end()
    assert app.scopes == []
    assert client.closed
