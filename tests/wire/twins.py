"""Both twins of the HTTP/1.1 codec: the pure one from its source, the compiled one where it was built."""

from __future__ import annotations

import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import hypercorn.wire.http1


def _pure() -> ModuleType:
    path = Path(hypercorn.wire.http1.__file__ or "").parent / "http1.py"
    spec = importlib.util.spec_from_file_location("pure_http1", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PURE = _pure()
COMPILED = hypercorn.wire.http1 if (hypercorn.wire.http1.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES)) else None
TWINS = {"pure": PURE} if COMPILED is None else {"pure": PURE, "compiled": COMPILED}
