"""Fixtures of the codec suites: each test runs over both twins, the compiled one where it was built."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.wire.twins import COMPILED, TWINS  # noqa: E402

collect_ignore = [] if COMPILED else ["test_http1_parity.py"]


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    """The codec module, one twin after the other."""
    return TWINS[request.param]
