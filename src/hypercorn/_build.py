"""Which of the two builds runs: compiled or pure.

The compiled core and its sources stand side by side (`protocol/ports.py` and `protocol/ports.*.so`), and the
import system prefers the extension. A part of the core cannot run compiled over another part that is not, so the
choice is made once, for all modules, when the package is imported: `HYPERCORN_PURE_PYTHON=1`, or a missing codec
extension, installs a finder that takes only sources.
"""

from __future__ import annotations

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


def has_extensions() -> bool:
    """True where the codec was compiled for this very interpreter."""
    here = os.path.dirname(os.path.abspath(__file__))
    return any(os.path.exists(os.path.join(here, "wire", f"http1{suffix}")) for suffix in EXTENSION_SUFFIXES)


def choose() -> str:
    """Decides for this process; called once by the package. Returns "compiled" or "pure"."""
    if os.environ.get("HYPERCORN_PURE_PYTHON", "") in ("", "0") and has_extensions():
        return "compiled"
    sys.meta_path.insert(0, SourceFinder)
    return "pure"
