"""The buffer that frames are written into: both twins do the same."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from tests.wire.twins import both

TWINS = both("hypercorn.wire.octets")
FAR = min(1 << 40, sys.maxsize >> 1)


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def test_what_is_put_in_comes_out_once(twin: ModuleType) -> None:
    octets = twin.Octets()
    assert not octets
    assert octets.take() == b""
    wanted = b""
    for n in range(3000):
        octets.octet(n & 255)
        octets.add(bytes([n & 255]) * (n % 7))
        wanted += bytes([n & 255]) * (n % 7 + 1)
        assert len(octets) == len(wanted)
    assert bytes(octets) == wanted
    assert octets.take() == wanted
    assert not octets
    octets.add(b"again")
    assert octets.take() == b"again"


def test_the_head_of_a_frame(twin: ModuleType) -> None:
    octets = twin.Octets()
    octets.frame(0x123456, 0x78, 0x9A, 0xBCDEF012)
    assert bytes(octets) == bytes.fromhex("123456 78 9a 3cdef012")
    octets.add(b"more")
    octets.frame(1, 0, 0, 3)
    octets.put_length(13, 0xFFFFFF)
    assert octets.take() == bytes.fromhex("123456 78 9a 3cdef012") + b"more" + bytes.fromhex("ffffff 00 00 00000003")


def test_cut(twin: ModuleType) -> None:
    octets = twin.Octets()
    octets.add(b"0123456789")
    assert octets.cut(10) == b""
    assert octets.cut(7) == b"789"
    assert octets.cut(0) == b"0123456"
    assert not octets


def test_large(twin: ModuleType) -> None:
    octets = twin.Octets()
    for size in (1, 511, 512, 513, 100_000, 1_000_000):
        octets.add(b"x" * size)
    assert octets.take() == b"x" * 1_101_537


@pytest.mark.skipif("compiled" not in TWINS, reason="a bytearray looks after itself")
def test_nothing_is_written_outside() -> None:
    octets = TWINS["compiled"].Octets()
    octets.add(b"ab")
    for start in (-1, 0, 1, 2, 100):
        with pytest.raises(IndexError):
            octets.put_length(start, 1)
    for start in (-1, 3):
        with pytest.raises(IndexError):
            octets.cut(start)
    with pytest.raises(TypeError):
        octets.add(None)
    assert octets.take() == b"ab"


def test_nothing_added_to_nothing(twin: ModuleType) -> None:
    octets = twin.Octets()
    octets.add(b"")
    assert octets.cut(0) == b""
    assert octets.take() == b""


@pytest.mark.parametrize("start", [-FAR, -1, 1, FAR])
def test_places_where_nothing_stands(twin: ModuleType, start: int) -> None:
    octets = twin.Octets()
    for size in (0, 2, 3):
        octets.add(b"x" * (size - len(octets)))
        with pytest.raises(IndexError):
            octets.put_length(start, 1)
        if not 0 <= start <= size:
            with pytest.raises(IndexError):
                octets.cut(start)
    octets.put_length(0, 1)
    assert octets.take() == b"\0\0\1"
