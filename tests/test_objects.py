"""What the hot path does with octets and text: both twins do the same."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.wire.twins import both

TWINS = both("hypercorn.objects")
compiled_only = pytest.mark.skipif("compiled" not in TWINS, reason="Python slices as it does")


@pytest.fixture(params=TWINS)
def twin(request: pytest.FixtureRequest) -> ModuleType:
    return TWINS[request.param]


def test_the_twins_have_the_same_names() -> None:
    assert len({tuple(sorted(module.__all__)) for module in TWINS.values()}) == 1
    assert all(hasattr(module, name) for module in TWINS.values() for name in module.__all__)


class Text(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other == "never"

    __hash__ = None  # type: ignore[assignment]


def test_same_text(twin: ModuleType) -> None:
    texts = ["", "a", "ab", "http.response.body", "http.response.bodY", "\xe9", "\u20ac", "\U0001f600", "a\0b", "é" * 9]
    for one in texts:
        for other in texts:
            assert twin.same_text(one.encode().decode(), other) is (one == other)
    assert twin.same_text(None, "a") is False
    assert twin.same_text(b"a", "a") is False
    assert twin.same_text(Text("a"), "never") is True


def test_part_of(twin: ModuleType) -> None:
    data = bytes(range(20))
    for start in range(21):
        for end in range(start, 21):
            assert twin.part_of(data, start, end) == data[start:end]


@compiled_only
@pytest.mark.parametrize(("start", "end"), [(-1, 2), (0, 4), (3, 2)])
def test_part_of_reads_nothing_else(start: int, end: int) -> None:
    with pytest.raises(IndexError):
        TWINS["compiled"].part_of(b"abc", start, end)
