"""HTTP/2 in bulk, against the command in a process of its own: speed where the build is compiled, memory everywhere."""

from __future__ import annotations

import sys

import pytest

import hypercorn

http2 = pytest.importorskip("bench.http2", reason="the measurements are not beside the tests")
FAST = 300.0  # MB/s
FLAT = 24.0  # MiB: the windows, and what the kernel and the allocator keep for a while

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")]


def command(loop: str) -> list[str]:
    limits = ["--keep-alive-max-requests", "1000000"]
    return [sys.executable, "-m", "hypercorn", "-k", loop, "-b", "127.0.0.1:PORT", *limits, "bench.http2:app"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("what", ["download", "upload"])
def test_n25_a_gibibyte_on_one_stream(what: str, loop: str) -> None:
    result = http2.measure(what, command(loop))
    assert result.peak < FLAT
    if hypercorn.build() == "compiled":
        assert http2.GIB / result.seconds / 1e6 >= FAST


@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_h2_01_a_hundred_thousand_resets(loop: str) -> None:
    result = http2.measure("resets", command(loop))
    assert result.peak < FLAT
