"""litmus, the test suite of WebDAV servers (its client takes trailers), against ASGIWebDAV on this server."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trio
from tests.support.live import Live

PATIENCE = 120


def webdav(folder: Path) -> Any:
    """ASGIWebDAV over a folder."""
    pytest.importorskip("asgi_webdav.server", reason="ASGIWebDAV is not installed", exc_type=ImportError)
    from asgi_webdav.constants import AppEntryParameters
    from asgi_webdav.server import get_asgi_app

    logging.disable(logging.NOTSET)
    settings = {
        "account_mapping": [{"username": "user", "password": "pass", "permissions": ["+"]}],
        "provider_mapping": [{"prefix": "/", "uri": f"file://{folder}"}],
        "logging": {"enable": False},
    }
    return get_asgi_app(AppEntryParameters(), settings)


def in_thread(app: Any) -> Any:
    """An application of asyncio for a server on trio: each call has a thread and a loop of its own."""

    async def call(scope: Any, receive: Any, send: Any) -> None:
        token = trio.lowlevel.current_trio_token()

        def in_trio(function: Any, *args: Any) -> asyncio.Future[Any]:
            """Calls what waits on trio. Returns what asyncio waits for."""
            result: concurrent.futures.Future[Any] = concurrent.futures.Future()

            async def run() -> None:
                if result.set_running_or_notify_cancel():
                    try:
                        result.set_result(await function(*args))
                    except Exception as error:
                        result.set_exception(error)

            token.run_sync_soon(nursery.start_soon, run)
            return asyncio.wrap_future(result)

        async def wrapped() -> None:
            await app(scope, lambda: in_trio(receive), lambda message: in_trio(send, message))

        async with trio.open_nursery() as nursery:
            await trio.to_thread.run_sync(asyncio.run, wrapped())
            nursery.cancel_scope.cancel()  # what still waits for a departure

    return call


def test_litmus(serve_app: Any, backend: str, tmp_path: Path) -> None:
    """Everything of `basic` and `copymove` passes."""
    if shutil.which("litmus") is None:
        pytest.skip("litmus is not installed")
    files = tmp_path / "files"
    files.mkdir()
    app = webdav(files)
    live: Live = serve_app(in_thread(app) if backend == "trio" else app, lifespan="off")
    done = subprocess.run(
        ["litmus", "-k", live.url + "/", "user", "pass"],
        cwd=tmp_path,
        env={**os.environ, "TESTS": "basic copymove"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    output = done.stdout.replace("\r", "\n")
    assert done.returncode == 0, output
    assert "FAIL" not in output
    for suite in ("basic", "copymove"):
        assert f"`{suite}'" in output, output
    assert output.count("failed. 100.0%") == 2, output
