"""Fixtures of the tests of operations."""

from __future__ import annotations

import sys

import pytest

if sys.implementation.name == "pypy":
    pytest.importorskip("trustme", reason="there is no trustme for PyPy")  # all of this folder needs it

from tests.support.authority import new_authority

__all__ = ("new_authority",)
