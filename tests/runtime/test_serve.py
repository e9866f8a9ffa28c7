"""`serve()` and `server()` as citizens of another's loop: start, end, cancellation, failures, warnings."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import threading
import time
import warnings
from typing import Any

import pytest
import trio
from tests.runtime.serving import Served, bound_socket, config_for
from tests.support.live import DRIVERS, Live, eventually, hello, library, pause, respond, run
from tests.support.peer import Peer

from hypercorn.config import Config
from hypercorn.errors import ConfigError


class Recorder:
    """An application that writes down its lifespan and serves hello."""

    def __init__(self) -> None:
        self.events: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await respond(send, b"hello")
            return
        while True:
            message = await receive()
            self.events.append(message["type"])
            await send({"type": f"{message['type']}.complete"})
            if message["type"] == "lifespan.shutdown":
                return


def sleep_forever(backend: str) -> Any:
    """A trigger that never comes, as users write it."""
    return trio.sleep_forever if backend == "trio" else (lambda: asyncio.Future())


async def cancel_after(backend: str, seconds: float, function: Any, *args: Any, **options: Any) -> bool:
    """Runs an async function and cancels it; True where the cancellation came out of it."""
    if backend == "trio":
        with trio.move_on_after(seconds) as scope:
            await function(*args, **options)
        return bool(scope.cancelled_caught)
    task = asyncio.ensure_future(function(*args, **options))
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


def test_returns_after_the_trigger(backend: str) -> None:
    app = Recorder()
    served = Served(app, backend)
    with served.connect() as peer:
        assert peer.get().body == b"hello"
        served.finish()
        assert peer.ended()
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    with pytest.raises(ConnectionRefusedError):
        Peer(("127.0.0.1", served.port))


def test_trigger_before_the_first_request(backend: str) -> None:
    """LC-14: nothing waits for one more request."""
    began = time.monotonic()
    Served(hello, backend).finish()
    assert time.monotonic() - began < 2


def test_serves_twice_in_one_process(backend: str) -> None:
    for _ in range(2):
        served = Served(hello, backend)
        with served.connect() as peer:
            assert peer.get().status == 200
        served.finish()


def test_cancelling_is_graceful(backend: str) -> None:
    app = Recorder()
    descriptor, port = bound_socket()
    config, _ = config_for(bind=[f"fd://{descriptor}"])
    threads = {*threading.enumerate()}

    async def main() -> None:
        serve = library(backend).serve
        trigger = sleep_forever(backend)
        assert await cancel_after(backend, 0.2, serve, app, config, shutdown_trigger=trigger)
        if backend != "trio":
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(backend, main)
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    assert {*threading.enumerate()} <= threads
    with pytest.raises(ConnectionRefusedError):
        Peer(("127.0.0.1", port))


def test_cancelling_in_each_round_of_the_loop(backend: str, driver: str) -> None:
    """As anyio does, with the same message each time: that is one cancellation, which lets a request finish. Nothing is
    left behind."""
    if backend == "trio":
        pytest.skip("trio cancels a scope once; test_cancelling_lets_a_request_finish is the same there")
    inside = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        await pause(0.3)
        await respond(send, b"finished")

    descriptor, port = bound_socket()
    config, _ = config_for(bind=[f"fd://{descriptor}"], lifespan="off", runtime=driver)
    bodies: list[bytes] = []

    def client() -> None:
        with eventually(lambda: try_connect(port)) as peer:
            bodies.append(peer.get().body)

    async def main() -> None:
        serve = library(backend).serve
        trigger = sleep_forever(backend)
        task = asyncio.ensure_future(serve(app, config, shutdown_trigger=trigger))
        while not inside.is_set():
            await asyncio.sleep(0.01)
        while not task.done():
            task.cancel("a scope")
            await asyncio.sleep(0)
        assert task.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    thread = threading.Thread(target=client)
    thread.start()
    run(backend, main)
    thread.join()
    assert bodies == [b"finished"]
    with pytest.raises(ConnectionRefusedError):
        Peer(("127.0.0.1", port))


@pytest.mark.parametrize("messages", [(None,), ("one", "another")], ids=["bare", "others"])
def test_a_second_cancellation_ends_at_once(backend: str, driver: str, messages: tuple[str | None, ...]) -> None:
    """In each round of the loop until it has: no socket, task or request is left behind."""
    if backend == "trio":
        pytest.skip("trio cancels a scope once")
    inside = threading.Event()
    ended: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        try:
            await pause(30)
        finally:
            ended.append("call")

    descriptor, port = bound_socket()
    config, _ = config_for(bind=[f"fd://{descriptor}"], lifespan="off", runtime=driver)

    async def main() -> None:
        serve = library(backend).serve
        task = asyncio.ensure_future(serve(app, config, shutdown_trigger=sleep_forever(backend)))
        peer = await asyncio.to_thread(eventually, lambda: try_connect(port))
        peer.send(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        while not inside.is_set():
            await asyncio.sleep(0.01)
        for number in range(1000):
            if task.done():
                break
            task.cancel(messages[number % len(messages)])
            await asyncio.sleep(0)
        assert task.cancelled()
        for _ in range(10):  # calls that were cut end in the next rounds
            await asyncio.sleep(0)
        assert ended == ["call"]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        peer.close()

    run(backend, main)
    with pytest.raises(ConnectionRefusedError):
        Peer(("127.0.0.1", port))


def test_cancelling_lets_a_request_finish(backend: str) -> None:
    inside = threading.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        inside.set()
        await pause(0.3)
        await respond(send, b"finished")

    descriptor, port = bound_socket()
    config, _ = config_for(bind=[f"fd://{descriptor}"], lifespan="off")
    bodies: list[bytes] = []

    def client() -> None:
        peer = eventually(lambda: try_connect(port))
        with peer:
            bodies.append(peer.get().body)

    async def main() -> None:
        serve = library(backend).serve
        trigger = sleep_forever(backend)
        await cancel_when(backend, inside.is_set, serve, app, config, shutdown_trigger=trigger)

    thread = threading.Thread(target=client)
    thread.start()
    run(backend, main)
    thread.join()
    assert bodies == [b"finished"]


async def cancel_when(backend: str, condition: Any, function: Any, *args: Any, **options: Any) -> None:
    """Cancels an async function once a condition holds."""
    if backend == "trio":
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                while not condition():
                    await trio.sleep(0.005)
                nursery.cancel_scope.cancel()

            nursery.start_soon(watch)
            await function(*args, **options)
        return
    task = asyncio.ensure_future(function(*args, **options))
    while not condition():
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def try_connect(port: int) -> Peer | None:
    """A connection, or None while nobody listens."""
    try:
        return Peer(("127.0.0.1", port))
    except ConnectionError:  # refused; or reset, where the listener closed before it was accepted
        return None


def test_what_the_trigger_raises_is_the_callers(backend: str) -> None:
    app = Recorder()
    config, _ = config_for()

    async def trigger() -> None:
        raise RuntimeError("the trigger broke")

    async def main() -> None:
        await library(backend).serve(app, config, shutdown_trigger=trigger)

    with pytest.raises(RuntimeError, match="the trigger broke"):
        run(backend, main)
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


def test_what_the_block_raises_comes_out(backend: str) -> None:
    app = Recorder()
    config, _ = config_for()

    async def main() -> None:
        async with library(backend).server(app, config):
            raise LookupError("in the block")

    with pytest.raises(BaseException) as caught:
        run(backend, main)
    error = caught.value
    while not isinstance(error, LookupError):
        (error,) = error.exceptions
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]


def test_shutdown_from_another_thread(backend: str) -> None:
    with Live(hello, backend) as live:
        port = live.port
        live.running.shutdown()
        live.running.shutdown()
        eventually(lambda: not try_connect_and_close(port))


def try_connect_and_close(port: int) -> bool:
    """True while somebody listens."""
    peer = try_connect(port)
    if peer is not None:
        peer.close()
    return peer is not None


def test_two_servers_in_one_loop(backend: str) -> None:
    first, second = Recorder(), Recorder()

    async def main() -> None:
        server = library(backend).server
        async with server(first, config_for()[0]) as one, server(second, config_for()[0]) as two:
            ports = [int(each.addresses[0].rsplit(":", 1)[1]) for each in (one, two)]
            assert ports[0] != ports[1]
            for port in ports:
                assert await in_thread(backend, get_body, port) == b"hello"

    run(backend, main)
    assert first.events == second.events == ["lifespan.startup", "lifespan.shutdown"]


def get_body(port: int) -> bytes:
    """One request on a connection of its own."""
    with Peer(("127.0.0.1", port)) as peer:
        return peer.get().body


async def in_thread(backend: str, function: Any, *args: Any) -> Any:
    """Runs a blocking function off the loop."""
    if backend == "trio":
        return await trio.to_thread.run_sync(function, *args)
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


def test_a_hundred_times_without_leaking(backend: str) -> None:
    """Start, one request, stop: no descriptor, thread or task is left."""

    async def once() -> None:
        async with library(backend).server(hello, config_for()[0]) as running:
            assert await in_thread(backend, get_body, int(running.addresses[0].rsplit(":", 1)[1])) == b"hello"

    async def main() -> None:
        for _ in range(3):
            await once()
        before = len(os.listdir("/proc/self/fd"))
        threads = own_threads()
        for _ in range(100):
            await once()
        assert len(os.listdir("/proc/self/fd")) <= before
        assert own_threads() <= threads
        if backend != "trio":
            assert asyncio.all_tasks() == {asyncio.current_task()}

    run(backend, main)


def own_threads() -> set[str]:
    """The threads there are, without those that this test asked for."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "Trio"))}


def test_a_port_in_use(backend: str) -> None:
    app = Recorder()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config, _ = config_for(bind=[address])

        async def with_serve() -> None:
            await library(backend).serve(app, config, shutdown_trigger=sleep_forever(backend))

        async def with_server() -> None:
            async with library(backend).server(app, config):
                raise AssertionError("it started")

        for main in (with_serve, with_server):
            app.events.clear()
            with pytest.raises(OSError, match=f"cannot bind {address}: address already in use") as caught:
                run(backend, main)
            assert caught.value.errno == errno.EADDRINUSE
            assert app.events == ["lifespan.startup", "lifespan.shutdown"]


def test_trio_task_status() -> None:
    async def main() -> None:
        async with trio.open_nursery() as nursery:
            config, _ = config_for()
            addresses = await nursery.start(library("trio").serve, hello, config)
            assert len(addresses) == 1
            port = int(addresses[0].removeprefix("http://127.0.0.1:"))
            assert await trio.to_thread.run_sync(get_body, port) == b"hello"
            nursery.cancel_scope.cancel()

    trio.run(main)


@pytest.mark.parametrize(("option", "value"), [("workers", 2), ("worker_class", "uvloop"), ("debug", True)])
def test_warns_of_options_without_effect(backend: str, option: str, value: Any) -> None:
    config, _ = config_for(**{option: value})

    async def main() -> None:
        async def at_once() -> None:
            return None

        with pytest.warns(Warning, match=f"The config `{option}` has no affect when using serve"):
            await library(backend).serve(hello, config, shutdown_trigger=at_once)
        with pytest.warns(Warning, match=f"The config `{option}` has no affect when using serve") as seen:
            async with library(backend).server(hello, config):
                pass
        assert [warning.filename for warning in seen.list] == [__file__]

    run(backend, main)


def test_does_not_warn_without_reason(backend: str) -> None:
    config, _ = config_for()
    config.worker_class = "trio" if backend == "trio" else "asyncio"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Live(hello, backend, config=config).stop()


# -- odd loops, and threads


def test_no_signals_outside_the_main_thread(backend: str) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    ready = threading.Event()
    cancel: list[Any] = []

    async def main() -> None:
        config, _ = config_for()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await send({"type": "lifespan.startup.complete"})
            ready.set()
            await receive()
            await send({"type": "lifespan.shutdown.complete"})

        if backend == "trio":
            token = trio.lowlevel.current_trio_token()
            with trio.CancelScope() as scope:
                cancel.append(lambda: token.run_sync_soon(scope.cancel))
                await library(backend).serve(app, config)
            return
        task = asyncio.ensure_future(library(backend).serve(app, config))
        loop = asyncio.get_running_loop()
        cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        await asyncio.wait([task])

    thread = threading.Thread(target=run, args=(backend, main))
    thread.start()
    assert ready.wait(10)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    cancel[0]()
    thread.join(10)
    assert not thread.is_alive()


def test_the_config_of_a_subclass_is_used(backend: str) -> None:
    class Mine(Config):
        include_server_header = False

    with Live(hello, backend, config=Mine()) as live, live.connect() as peer:
        assert peer.get().header("server") is None


def test_the_reactor_by_name(backend: str) -> None:
    """`runtime = "reactor"` is an error where there is none, and not a silent second best."""
    if "reactor" in DRIVERS:
        Live(hello, backend, runtime="reactor").stop()
        return
    with pytest.raises(ConfigError, match="cannot be had"):
        Live(hello, backend, runtime="reactor")
