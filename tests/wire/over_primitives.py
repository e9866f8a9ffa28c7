"""The codecs over `primitives` as they run and as Python source, the latter over the pure primitives."""

from __future__ import annotations

from types import ModuleType

from tests.wire.twins import both

PRIMITIVES = both("hypercorn.wire.primitives")
OCTETS = both("hypercorn.wire.octets")


def over_primitives(name: str) -> dict[str, ModuleType]:
    """The module of that name as it runs, and its source over the pure twins."""
    found = both(name)
    for module in (PRIMITIVES["pure"], OCTETS["pure"]):
        for public in module.__all__:
            if hasattr(found["pure"], public):
                setattr(found["pure"], public, getattr(module, public))
    return found


HPACK = over_primitives("hypercorn.wire.hpack")
WEBSOCKET = over_primitives("hypercorn.wire.websocket")
