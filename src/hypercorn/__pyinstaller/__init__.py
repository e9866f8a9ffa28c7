"""Hooks for PyInstaller, which finds this package by the entry point `pyinstaller40`."""

from __future__ import annotations

import os


def get_hook_dirs() -> list[str]:
    """The folders that have hooks."""
    return [os.path.dirname(__file__)]
