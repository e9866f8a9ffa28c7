"""Every name that Quart and Quart-Trio import from `hypercorn` is in this package, and is what they take it for."""

from __future__ import annotations

import ast
import importlib
import inspect
import logging
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from hypercorn.config import Config

PACKAGES = {"quart": 20, "quart_trio": 4}  # and how many names they import at the least


def imported(package: str) -> set[tuple[str, str]]:
    """Modules and names of `hypercorn` that a package imports, wherever in its source."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    names = set()
    for folder in spec.submodule_search_locations:
        for path in Path(folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "hypercorn":
                    names.update((node.module or "", alias.name) for alias in node.names)
                elif isinstance(node, ast.Import):
                    names.update((alias.name, "") for alias in node.names if alias.name.split(".")[0] == "hypercorn")
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_every_name_is_there(package: str) -> None:
    names = imported(package)
    assert len(names) >= PACKAGES[package]
    for module, name in names:
        found: Any = importlib.import_module(module)
        assert not name or hasattr(found, name), f"{module}.{name}"


@pytest.mark.parametrize("module", ["hypercorn.asyncio", "hypercorn.trio"])
def test_serve_takes_what_run_task_gives_it(module: str) -> None:
    signature = inspect.signature(importlib.import_module(module).serve)
    signature.bind(object(), Config(), shutdown_trigger=None)


def test_config_takes_what_run_task_sets() -> None:
    config = Config()
    config.access_log_format = "%(h)s %(r)s %(s)s %(b)s %(D)s"
    config.accesslog = logging.getLogger("quart.app")
    config.bind = ["127.0.0.1:5000"]
    config.ca_certs = config.certfile = config.keyfile = None
    config.debug = True
    config.errorlog = config.accesslog
    config.use_reloader = False
    assert config.bind == ["127.0.0.1:5000"]
    assert config.debug
    assert config.errorlog is config.accesslog
