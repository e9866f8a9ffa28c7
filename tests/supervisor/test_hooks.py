"""`on_worker_exit`: what is done for a worker that is gone."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from tests.process.command import environment
from tests.supervisor.servers import WAIT, Server, kill
from tests.support.live import eventually

from hypercorn.config import Config
from hypercorn.errors import ConfigError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    (tmp_path / "operations.py").write_text(
        "import os\n"
        "def worker_ended(pid, code):\n"
        "    with open(os.path.join(os.path.dirname(__file__), 'ended'), 'a') as file:\n"
        "        file.write(f'{pid} {code}\\n')\n"
        "def wrong(pid, code):\n    raise KeyError('of the hook')\n"
    )
    return tmp_path


def variables(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join([str(folder), environment()["PYTHONPATH"]])}


def test_each_worker_that_ended_is_told_of(folder: Path) -> None:
    """One that was killed, and those of the shutdown; the server waits for the call."""
    ended = folder / "ended"
    with Server("-w", "2", "--on-worker-exit", "operations:worker_ended", **variables(folder)) as server:
        first, _ = sorted(server.serving(2))
        kill(first, signal.SIGKILL)
        eventually(ended.exists, WAIT)
        eventually(lambda: ended.read_text() == f"{first} -9\n", WAIT)
        others = server.serving(2)
        assert server.end() == 0
    lines = ended.read_text().splitlines()
    assert sorted(lines[1:]) == sorted(f"{pid} 0" for pid in others)


def test_a_hook_that_fails_ends_nothing(folder: Path) -> None:
    with Server("-w", "1", "--on-worker-exit", "operations:wrong", **variables(folder)) as server:
        (first,) = server.serving(1)
        kill(first, signal.SIGKILL)
        server.await_said("KeyError: 'of the hook'")
        eventually(lambda: server.workers() - {first}, WAIT)
        assert server.end() == 0


@pytest.mark.parametrize("text", ["operations", "operations:", ":f", "operations:f()", "a b:f", 7])
def test_names_of_functions(text: object) -> None:
    with pytest.raises(ConfigError, match="expected module:function"):
        Config.from_mapping(on_worker_exit=text)
