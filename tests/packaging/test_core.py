"""The compiled core: one extension with all modules inside."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import hypercorn
from hypercorn._build import CoreFinder

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src/hypercorn"

compiled = pytest.mark.skipif(hypercorn.build() != "compiled", reason="of the compiled build")


def expected() -> set[str]:
    """What is to be compiled: each .pyx, and each .py that has a .pxd beside it."""
    paths = {path.with_suffix("") for path in SOURCES.rglob("*.pyx")}
    paths |= {path.with_suffix("") for path in SOURCES.rglob("*.pxd") if path.with_suffix(".py").exists()}
    if sys.platform == "win32":
        paths.discard(SOURCES / "runtime/reactor")
    return {".".join(("hypercorn", *path.relative_to(SOURCES).parts)) for path in paths}


@compiled
def test_every_compiled_module_is_in_the_core() -> None:
    core = importlib.import_module("hypercorn._core")
    assert set(core.names()) == expected() | {"hypercorn._cython"}
    assert len(set(core.names())) == len(core.names())


@compiled
@pytest.mark.parametrize("name", sorted(expected()))
def test_a_module_of_the_core_is_an_ordinary_one(name: str) -> None:
    module = importlib.import_module(name)
    core = importlib.import_module("hypercorn._core")
    assert sys.modules[name] is module
    assert module.__name__ == name
    assert module.__package__ == name.rpartition(".")[0]
    assert module.__file__ == core.__file__
    assert isinstance(module.__spec__, ModuleSpec)
    assert module.__spec__.name == name
    assert isinstance(module.__loader__, CoreFinder)
    assert getattr(sys.modules[module.__package__], name.rpartition(".")[2]) is module


@compiled
def test_a_name_that_the_core_does_not_have() -> None:
    core = importlib.import_module("hypercorn._core")
    assert CoreFinder(core).find_spec("hypercorn.wire.http9") is None
    with pytest.raises(ImportError, match=r"no compiled module is named 'hypercorn\.wire\.http9'"):
        core.create(ModuleSpec("hypercorn.wire.http9", None))
    with pytest.raises(AttributeError):
        core.create(None)
    with pytest.raises(TypeError):
        core.execute(None)
    with pytest.raises(SystemError, match="not a compiled module"):
        core.execute(pytest)


def test_the_pure_build_takes_nothing_from_it() -> None:
    code = "import sys, hypercorn.asgi.http as m; assert m.__file__.endswith('.py'), m.__file__\n"
    code += "assert 'hypercorn._core' not in sys.modules"
    environment = {"HYPERCORN_PURE_PYTHON": "1", "PYTHONPATH": str(Path(hypercorn.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
