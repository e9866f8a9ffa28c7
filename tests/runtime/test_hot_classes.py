"""What connections call for every request is of compiled classes that no Python class extends: the compiler has such a
method look for its override at each call, which costs more than most of them do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.runtime.serving import config_for
from tests.support.live import hello, library, run

import hypercorn

HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE


def classes_of(server: Any) -> set[type]:
    """Those of a server's runtime and context."""
    worker = server._worker
    return {type(worker.context), type(worker.context.runtime), type(worker.runtime.inner)}


@pytest.mark.skipif(hypercorn.build() == "pure", reason="the pure build has Python classes only")
@pytest.mark.parametrize("backend", ["asyncio", "uvloop", "trio"])
def test_hot_classes_are_final(backend: str) -> None:
    found: set[type] = set()

    async def main() -> None:
        async with library(backend).server(hello, config_for()[0]) as running:
            found.update(classes_of(running))

    run(backend, main)
    assert len(found) == 2
    assert [kind for kind in found if kind.__flags__ & HEAP_TYPE] == []


def test_the_worker_half_passes_on() -> None:
    """`LoopRuntime`'s own methods are those of its inner half."""
    from hypercorn.asyncio.worker import AsyncioRuntime

    async def main() -> None:
        runtime = AsyncioRuntime(asyncio.get_running_loop())
        called = []
        runtime.call_soon(lambda: called.append("soon"))
        runtime.call_at(runtime.now() + 0.01, lambda: called.append("later"))
        waiter = runtime.waiter()
        runtime.wake(waiter)
        await waiter
        await asyncio.sleep(0.05)
        assert called == ["soon", "later"]
        assert runtime.active_calls() == 0
        await runtime.sleep_until(runtime.waiter(), 0)

    asyncio.run(main())
