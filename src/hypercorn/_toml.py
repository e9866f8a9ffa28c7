"""TOML files, on Python 3.10 too."""

from __future__ import annotations

import importlib
import os

PROJECT = "pyproject.toml"


def read_toml(path: str) -> dict[str, object]:
    """The top-level keys of a TOML file; of a pyproject.toml, those of [tool.hypercorn].

    Raises OSError and tomllib.TOMLDecodeError (a ValueError).
    """
    try:
        toml = importlib.import_module("tomllib")
    except ImportError:  # before Python 3.11
        toml = importlib.import_module("tomli")
    with open(path, "rb") as file:
        values = toml.load(file)
    if os.path.basename(path) == PROJECT:
        values = values.get("tool", {}).get("hypercorn", {})
    found: dict[str, object] = values
    return found
