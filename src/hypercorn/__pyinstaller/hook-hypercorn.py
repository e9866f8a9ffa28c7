"""The imports that PyInstaller cannot see: modules imported by name, and those that compiled modules import."""

from __future__ import annotations

from PyInstaller.utils.hooks import can_import_module, collect_submodules  # type: ignore[import-untyped,import-not-found,unused-ignore]

OPTIONAL = ("uvloop", "trio", "aioquic", "isal")


def is_needed(name: str) -> bool:
    """False for these hooks, for what no frozen program can run, and for what would draw in pytest and Django, which a
    program that uses them names."""
    left_out = ("__pyinstaller", "pytest_plugin", "django", "certificates.acme_client")
    return not name.startswith(tuple(f"hypercorn.{one}" for one in left_out))


hiddenimports = collect_submodules("hypercorn", filter=is_needed, on_error="ignore")
hiddenimports += [name for name in OPTIONAL if can_import_module(name)]
