"""TOML files, on Python 3.10 too."""

from __future__ import annotations

import importlib
import os
from typing import Any

PROJECT = "pyproject.toml"


def read_toml(path: str) -> dict[str, Any]:
    """The top-level keys of a TOML file; of a pyproject.toml, those of [tool.hypercorn].

    Raises OSError and tomllib.TOMLDecodeError (a ValueError).
    """
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:  # before Python 3.11
        toml = importlib.import_module("tomli")
    with open(path, "rb") as file:
        values: dict[str, Any] = toml.load(file)
    if os.path.basename(path) == PROJECT:
        values = values.get("tool", {}).get("hypercorn", {})
    return values
