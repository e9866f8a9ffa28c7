"""Fixtures of the tests of certificates."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.implementation.name == "pypy":
    pytest.importorskip("trustme", reason="there is no trustme for PyPy")  # all of this folder needs it

from tests.certificates.authorities import Pebble, options_for


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept in the user's own folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


@pytest.fixture(scope="module")
def pebble(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    with Pebble(tmp_path_factory.mktemp("pebble")) as pebble:
        yield pebble


@pytest.fixture
def options(pebble: Pebble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a server that gets a certificate from pebble."""
    return options_for(pebble, tmp_path, monkeypatch)
