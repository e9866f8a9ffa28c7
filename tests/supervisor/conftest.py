"""Fixtures of the tests of operations."""

from __future__ import annotations

from tests.support.authority import new_authority

__all__ = ("new_authority",)
