"""Both twins of a module: the pure one from its source, the compiled one where it was built."""

from __future__ import annotations

import importlib
import importlib.util
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import hypercorn.wire.http1


def both(name: str) -> dict[str, ModuleType]:
    """The twins of the module of that name, by `pure` and `compiled`."""
    module = importlib.import_module(name)
    path = Path(hypercorn.__file__).parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location("pure_" + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    pure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pure)
    if (module.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES)):
        return {"pure": pure, "compiled": module}
    return {"pure": pure}


TWINS = both(hypercorn.wire.http1.__name__)
PURE = TWINS["pure"]
COMPILED = TWINS.get("compiled")
