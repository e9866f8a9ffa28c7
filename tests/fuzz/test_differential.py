"""A small run of the differential fuzzer, and a proof that it finds what it looks for."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from tests.fuzz import differential
from tests.wire.twins import PURE, TWINS


@pytest.mark.parametrize("seed", range(4))
def test_no_differences(seed: int) -> None:
    assert list(differential.findings(3000, seed)) == []


def test_a_difference_between_twins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lenient(PURE.RequestParser):  # type: ignore[name-defined, misc]  # the module is loaded at run time
        def feed(self, data: bytes) -> None:
            super().feed(data.replace(b"\x7f", b"."))

    module = ModuleType("lenient")
    module.RequestParser = Lenient  # type: ignore[attr-defined]  # a stand-in twin
    monkeypatch.setattr(differential, "TWINS", {**TWINS, "lenient": module})
    assert next(differential.findings(20_000, 0), None) is not None


def test_a_difference_from_h11_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(data: bytes) -> list[Any]:
        return [(method, target, headers, body[1:]) for method, target, headers, body in read(data)]

    read = differential.h11_reads
    monkeypatch.setattr(differential, "h11_reads", forgetful)
    assert next(differential.findings(2000, 0), None) is not None
