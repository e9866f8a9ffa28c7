"""litmus, the test suite of WebDAV servers (its client takes trailers), against ASGIWebDAV on this server."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.live import Live

PATIENCE = 120


def webdav(folder: Path) -> Any:
    """ASGIWebDAV over a folder."""
    pytest.importorskip("asgi_webdav", reason="ASGIWebDAV is not installed")
    from asgi_webdav.constants import AppEntryParameters
    from asgi_webdav.server import get_asgi_app

    logging.disable(logging.NOTSET)
    settings = {
        "account_mapping": [{"username": "user", "password": "pass", "permissions": ["+"]}],
        "provider_mapping": [{"prefix": "/", "uri": f"file://{folder}"}],
        "logging": {"enable": False},
    }
    return get_asgi_app(AppEntryParameters(), settings)


@pytest.mark.parametrize("backend", ["asyncio", "uvloop"], indirect=True)  # ASGIWebDAV needs asyncio
def test_litmus(serve_app: Any, backend: str, tmp_path: Path) -> None:
    """Everything of `basic` and `copymove` passes."""
    if shutil.which("litmus") is None:
        pytest.skip("litmus is not installed")
    files = tmp_path / "files"
    files.mkdir()
    live: Live = serve_app(webdav(files), lifespan="off")
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
