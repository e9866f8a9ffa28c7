"""The attributes of `Config`. Their types and descriptions stand in the stub beside this file, which
csrc/make_config.py writes from the option table."""

from __future__ import annotations

__all__ = ("Attributes",)


class Attributes:
    """The base of `Config`, which declares an attribute for each option, and for each other name of one."""
