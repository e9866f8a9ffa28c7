"""A worker's interpreter gets the command line flags of its parent's."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

OWN = "import json; from hypercorn.supervisor.launch import interpreter_flags; print(json.dumps(interpreter_flags()))"
SEEN = "import json, sys; print(json.dumps([list(sys.flags), sorted(set(sys.warnoptions)), sys._xoptions]))"


def told(flags: list[str], code: str) -> object:
    """What a program says in JSON, run with these flags."""
    done = subprocess.run([sys.executable, *flags, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-O"],
        ["-OO", "-B", "-q"],
        ["-W", "error::DeprecationWarning", "-Wignore::ResourceWarning"],
        ["-b"],
        ["-bb", "-W", "error"],
        ["-X", "dev"],
        ["-X", "utf8=1", "-X", "tracemalloc=5", "-X", "faulthandler"],
        ["-X", "int_max_str_digits=9000"],
        ["-E", "-s"],
        pytest.param(["-P"], marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="came with Python 3.11")),
        ["-I"],
    ],
    ids=" ".join,
)
def test_flags_come_again(flags: list[str]) -> None:
    given = told(flags, OWN)
    assert isinstance(given, list)
    assert told(given, SEEN) == told(flags, SEEN)
    assert given or not flags
