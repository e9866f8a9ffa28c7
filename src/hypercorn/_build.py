"""Which of the two builds runs: compiled or pure.

The compiled core is one extension, `_core`, which has many modules inside (`csrc/core.c`): one file is smaller than
one for each, and is mapped into memory once. A part of the core cannot run compiled over another part that is not, so
the choice is made once, for all modules, when the package is imported: a finder takes them out of `_core`, or, with
`HYPERCORN_PURE_PYTHON=1` or without an extension for this interpreter, another takes only sources.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    ModuleSpec,
    SourceFileLoader,
)
from types import ModuleType
from typing import Any


class SourceFinder:
    """Finds this package's modules as sources, never as extensions."""

    @staticmethod
    def find_spec(
        fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is None or not fullname.startswith("hypercorn."):
            return None
        for entry in path:
            spec = FileFinder(entry, (SourceFileLoader, SOURCE_SUFFIXES)).find_spec(fullname)
            if spec is not None and spec.loader is not None:
                return spec
        for finder in sys.meta_path:  # no folder of sources: a zip, or a frozen program
            if finder is SourceFinder:
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None and not isinstance(spec.loader, ExtensionFileLoader):
                return spec
        # Passed on, the search would end at an extension that has no source twin, whose C parts the others lack.
        raise ModuleNotFoundError(f"No module named {fullname!r} in the pure build", name=fullname)


class CoreFinder:
    """Finds and loads the modules inside the compiled core, before their sources are found."""

    def __init__(self, core: ModuleType) -> None:
        self._core = core
        self._names = frozenset(core.names())

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        loader: Any = self  # without a base class: importlib.abc would be imported for it
        spec = ModuleSpec(fullname, loader, origin=self._core.__file__)
        spec.has_location = True  # __file__ is the extension's
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = self._core.create(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        self._core.execute(module)


def has_extensions() -> bool:
    """True where the core was compiled for this very interpreter."""
    here = os.path.dirname(os.path.abspath(__file__))
    return any(os.path.exists(os.path.join(here, f"_core{suffix}")) for suffix in EXTENSION_SUFFIXES)


def choose() -> str:
    """Decides for this process; called once by the package. Returns "compiled" or "pure"."""
    if os.environ.get("HYPERCORN_PURE_PYTHON", "") in ("", "0") and has_extensions():
        sys.meta_path.insert(0, CoreFinder(importlib.import_module("hypercorn._core")))
        return "compiled"
    sys.meta_path.insert(0, SourceFinder)
    return "pure"
