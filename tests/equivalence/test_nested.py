"""An application may run its loop inside of itself, and ask its own server meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.live import DRIVERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.live
@pytest.mark.parametrize("driver", DRIVERS)
def test_a_loop_inside_of_a_loop(driver: str) -> None:
    pytest.importorskip("nest_asyncio")
    command = [sys.executable, "-m", "tests.equivalence.nested", driver]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["served"] == told["plain"]
    assert told["answers"] == ["ok"] * 3 + ["plain"] * 12
    assert told["errors"] == []
