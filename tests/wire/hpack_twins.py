"""The HPACK decoder as it runs and as Python source, the latter over the pure primitives."""

from __future__ import annotations

from tests.wire.twins import both

PRIMITIVES = both("hypercorn.wire.primitives")
TWINS = both("hypercorn.wire.hpack")
PURE = TWINS["pure"]
vars(PURE).update({name: vars(PRIMITIVES["pure"])[name] for name in PRIMITIVES["pure"].__all__})
