"""The cost of attacks: the table, on a row that is quick; and the limits that it holds rows to."""

from __future__ import annotations

import pytest
from bench.attacks import Row
from bench.costs import Cost, line, measure, rows, table

from bench import costs


def test_every_row_names_a_server() -> None:
    assert {row.server for row in rows().values()} <= set(costs.SERVERS)


def test_a_row_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    cost = measure(rows()["h1-chunks"], "asyncio")
    assert cost.sent > 1_000_000
    assert 0 <= cost.cpu < 10  # counted in hundredths of a second, which this may be less than
    assert cost.cpu_per_kb < costs.MOST_CPU
    assert cost.kept_per_kb < costs.MOST_KEPT


def test_what_is_beyond_a_limit_is_bold_and_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = Row("x", "an attack", "plain", lambda target: iter(()))  # type: ignore[arg-type, return-value]
    monkeypatch.setattr(costs, "rows", lambda: {"x": row})
    for cost, expected, fine in (
        (Cost(sent=100_000, cpu=0.01, held=10, left=5), "| 0.100 | 0.0 | 0.0 | 0.10 |", True),
        (Cost(sent=100_000, cpu=1.0, held=10, left=5), "| **10.000** |", False),
        (Cost(sent=100_000, cpu=0.01, held=0, left=2000), "| **20.48** |", False),
    ):
        monkeypatch.setattr(costs, "measure", lambda row, loop, cost=cost: cost)
        assert expected in line(row, cost)
        assert table([], "asyncio") is fine
        assert "| `x` | an attack | 100 |" in capsys.readouterr().out
