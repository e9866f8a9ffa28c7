"""Quart-Trio."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from quart_trio import QuartTrio
from tests.frameworks import app_quart


def make(notes: list[str], file: Path) -> Any:
    """The application."""
    return app_quart.make(notes, file, QuartTrio)
