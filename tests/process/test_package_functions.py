"""`hypercorn.run`, `hypercorn.serve` and `hypercorn.server`: options by name, on whichever loop runs."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
from tests.runtime.serving import run
from tests.support.live import BACKENDS
from tests.support.peer import Peer

import hypercorn
from hypercorn.config import Config
from hypercorn.errors import ConfigError, NoAppError

APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})
"""


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


def port_of(addresses: list[str]) -> int:
    return int(addresses[0].rpartition(":")[2])


async def get(port: int) -> bytes:
    with await anyio.to_thread.run_sync(Peer, ("127.0.0.1", port)) as peer:
        return bytes((await anyio.to_thread.run_sync(peer.get)).body)


def test_server_finds_the_loop_that_runs(backend: str) -> None:
    async def main() -> None:
        async with hypercorn.server(app, port=0, lifespan="off") as running:
            assert await get(port_of(running.addresses)) == b"hello"

    run(backend, main)


def test_serve_starts_in_a_task_group_of_anyio(backend: str) -> None:
    async def main() -> None:
        async with anyio.create_task_group() as group:

            async def serve(*, task_status: Any) -> None:
                await hypercorn.serve(
                    app, host="127.0.0.1", port=0, shutdown_trigger=anyio.sleep_forever, task_status=task_status
                )

            addresses = await group.start(serve)
            assert await get(port_of(addresses)) == b"hello"
            group.cancel_scope.cancel()

    run(backend, main)


def test_an_application_by_its_name(backend: str, tmp_path: Path) -> None:
    (tmp_path / "named_app.py").write_text(APPLICATION)

    async def main() -> None:
        async with hypercorn.server("named_app:app", port=0, app_dir=str(tmp_path)) as running:
            assert await get(port_of(running.addresses)) == b"hello"
        with pytest.raises(NoAppError, match="nothing"):
            await hypercorn.serve("named_app:nothing", port=0, app_dir=str(tmp_path))

    try:
        run(backend, main)
    finally:
        sys.modules.pop("named_app", None)


@pytest.mark.parametrize("worker_class", BACKENDS)
@pytest.mark.parametrize(
    "call",
    [
        'hypercorn.run("named_app:app", port=port, worker_class=name, workers=1)',
        "hypercorn.run(named_app.app, port=port, worker_class=name)",
        'hypercorn.run(named_app.app, hypercorn.Config(bind=f"127.0.0.1:{port}", worker_class=name))',
    ],
    ids=["name", "object", "config"],
)
def test_run_blocks_until_a_signal(call: str, worker_class: str, tmp_path: Path, free_port: int) -> None:
    (tmp_path / "named_app.py").write_text(APPLICATION)
    program = f"import hypercorn, named_app\nport = {free_port}; name = {worker_class!r}\n{call}\nprint('after')"
    (tmp_path / "program.py").write_text(program)
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        with wait_for(free_port) as peer:
            assert peer.get().body == b"hello"
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=30)
        assert (process.returncode, output) == (0, "after\n"), errors
    finally:
        process.kill()
        process.communicate()


def wait_for(port: int) -> Peer:
    from tests.support.live import eventually

    def connect() -> Peer | None:
        try:
            return Peer(("127.0.0.1", port))
        except ConnectionRefusedError:
            return None

    peer: Peer = eventually(connect)
    return peer


@pytest.fixture
def free_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_the_old_contents_of_the_module_stay() -> None:
    import hypercorn.run as module

    assert hypercorn.run is module
    assert callable(module)
    assert callable(module.run)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: hypercorn.run(app, workers=2), ConfigError, 'workers: .*"module:app"'),
        (lambda: hypercorn.run(app, reload=True), ConfigError, "reload: .*by its name"),
        (lambda: hypercorn.run(app, prot=1), TypeError, r"hypercorn.run\(\) got .*prot"),
        (lambda: hypercorn.run(app, port=1, bind="a:1"), ConfigError, "either bind, or host and port"),
        (lambda: hypercorn.run(app, worker_class="gevent"), ConfigError, "worker_class: .*gevent"),
    ],
)
def test_what_is_wrong(call: Callable[[], None], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_a_start_that_fails_ends_with_an_exit_code(tmp_path: Path, free_port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import hypercorn; hypercorn.run('nowhere:app', port={free_port})"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 3
    assert "nowhere" in done.stderr


def test_where_no_loop_runs() -> None:
    from hypercorn.asyncio import serve as serve_on_asyncio
    from hypercorn.trio import serve as serve_on_trio

    def step(coroutine: Any) -> None:
        with pytest.raises(RuntimeError) as raised:
            coroutine.send(None)
        texts.append(str(raised.value))

    texts: list[str] = []
    step(hypercorn.serve(app))
    step(serve_on_asyncio(app, Config()))
    step(serve_on_trio(app, Config()))
    assert [text.partition(" needs ")[0] for text in texts] == [
        "hypercorn.serve()",
        "hypercorn.asyncio.serve()",
        "hypercorn.trio.serve()",
    ]

    async def on_trio() -> None:
        await serve_on_asyncio(app, Config())

    with pytest.raises(RuntimeError, match=r"under trio use hypercorn.trio.serve"):
        trio.run(on_trio)
    with pytest.raises(RuntimeError, match=r"under asyncio use hypercorn.asyncio.serve"):
        asyncio.run(serve_on_trio(app, Config()))


def test_options_that_mean_nothing_here(backend: str) -> None:
    async def main() -> None:
        with pytest.warns(Warning, match="`reload` has no effect"):
            async with hypercorn.server(app, port=0, lifespan="off", reload=True):
                pass

    run(backend, main)


def test_a_configuration_that_is_given_stays_as_it_is() -> None:
    given = Config(bind="127.0.0.1:1")
    with pytest.raises(ConfigError):
        hypercorn.run(app, given, port=2, workers=3)
    assert (given.bind, given.workers) == (["127.0.0.1:1"], 1)
