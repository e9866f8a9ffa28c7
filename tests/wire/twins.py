"""Both twins of a module: the pure one from its source, the compiled one where it was built."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType
from unittest import mock

import hypercorn

# The HTTP/1.1 codec, each module behind those that it is written over.
CODEC = [f"hypercorn.wire.{name}" for name in ("head", "octets", "http1_primitives", "writing", "http1")]


def is_compiled(module: ModuleType) -> bool:
    return (module.__file__ or "").endswith(tuple(EXTENSION_SUFFIXES))


def from_source(name: str) -> ModuleType:
    """The module of that name, run from its Python source."""
    path = Path(hypercorn.__file__).parent.joinpath(*name.split(".")[1:]).with_suffix(".py")
    spec = importlib.util.spec_from_file_location("pure_" + path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    pure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pure)
    return pure


def both(name: str) -> dict[str, ModuleType]:
    """The twins of the module of that name, by `pure` and `compiled`."""
    module = importlib.import_module(name)
    pure = from_source(name)
    return {"pure": pure, "compiled": module} if is_compiled(module) else {"pure": pure}


def from_sources(names: list[str]) -> list[ModuleType]:
    """Modules that import each other, all run from their sources."""
    with mock.patch.dict(sys.modules):
        for name in names:
            sys.modules[name] = from_source(name)
        return [sys.modules[name] for name in names]


def joined(modules: list[ModuleType]) -> ModuleType:
    """The public names of several modules in one."""
    made = ModuleType("codec")
    for module in modules:
        for name in module.__all__:
            setattr(made, name, getattr(module, name))
    return made


PURE_CODEC = from_sources(CODEC)
RUNNING_CODEC = [importlib.import_module(name) for name in CODEC]
PURE = joined(PURE_CODEC)
COMPILED = joined(RUNNING_CODEC) if is_compiled(RUNNING_CODEC[-1]) else None
TWINS = {"pure": PURE} if COMPILED is None else {"pure": PURE, "compiled": COMPILED}
