"""The imports that PyInstaller cannot see: modules imported by name, and those that compiled modules import."""

from __future__ import annotations

from PyInstaller.utils.hooks import can_import_module, collect_submodules  # type: ignore[import-untyped,import-not-found,unused-ignore]

OPTIONAL = ("uvloop", "trio", "aioquic", "isal")


def is_needed(name: str) -> bool:
    """False for these hooks, and for what would draw in pytest and Django; a program that uses those names them."""
    return not name.startswith(("hypercorn.__pyinstaller", "hypercorn.pytest_plugin", "hypercorn.django"))


hiddenimports = collect_submodules("hypercorn", filter=is_needed, on_error="ignore")
hiddenimports += [name for name in OPTIONAL if can_import_module(name)]
