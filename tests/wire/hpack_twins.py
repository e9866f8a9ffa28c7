"""Both twins of the HPACK decoder: the pure one from its source, the compiled one where it was built."""

from __future__ import annotations

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import hypercorn.wire.hpack


def _pure() -> ModuleType:
    path = Path(hypercorn.wire.hpack.__file__ or "").parent / "hpack.py"
    spec = importlib.util.spec_from_file_location("pure_hpack", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PURE = _pure()
_BUILT = (hypercorn.wire.hpack.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES))
TWINS = {"pure": PURE, "compiled": hypercorn.wire.hpack} if _BUILT else {"pure": PURE}
