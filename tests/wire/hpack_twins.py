"""Both twins of the HPACK decoder."""

from __future__ import annotations

from tests.wire.twins import both

TWINS = both("hypercorn.wire.hpack")
PURE = TWINS["pure"]
