"""The tables in C are those that their generators write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

C_FILES = Path(__file__).parents[2] / "csrc"


@pytest.mark.parametrize("name", ["hpack_tables", "http1_tables"])
def test_tables_are_fresh(name: str) -> None:
    made = subprocess.run([sys.executable, C_FILES / f"{name}.py"], capture_output=True, text=True, check=True).stdout
    assert (C_FILES / f"{name}.h").read_text() == made, f"run: python csrc/{name}.py > csrc/{name}.h"
