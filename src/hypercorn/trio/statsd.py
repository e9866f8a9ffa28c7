"""Kept import place of the statsd logger: `hypercorn.trio.statsd.StatsdLogger`."""

from __future__ import annotations

from hypercorn.logs.statsd import StatsdLogger

__all__ = ("StatsdLogger",)
