"""What users of WebSockets, HTTP/2 and HTTP/3 need, and what went wrong elsewhere: a test names each point by its id.

A test names an id in its own name (`test_ws02_...`, `test_q_h2_16_...`) or in its docstring or parameters (`H2-15`).
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
IDS = [
    *(f"WS-{number}" for number in range(1, 23)),
    *(f"Q-WS-{number}" for number in range(1, 11)),
    *(f"H2-{number}" for number in range(1, 25)),
    *(f"Q-H2-{number}" for number in range(1, 21)),
    *(f"H3-{number}" for number in range(1, 14)),
    *(f"Q-H3-{number}" for number in range(1, 11)),
    *("N-9", "N-10", "N-28", "N-29"),
]


def pattern(identity: str) -> re.Pattern[str]:
    """An id as tests write it: `WS-02`, `ws02`, `q_ws_2`; `H2-2` is not in `Q-H2-2`."""
    *words, number = identity.split("-")
    return re.compile(rf"(?<![a-z0-9])(?<!q[-_]){'[-_]'.join(words)}[-_]?0?{number}(?![0-9])", re.IGNORECASE)


@pytest.fixture(scope="module")
def tests() -> str:
    """All the others, as text."""
    return "\n".join(path.read_text() for path in sorted(FOLDER.rglob("*.py")) if path != Path(__file__))


@pytest.mark.parametrize("identity", IDS)
def test_is_named(identity: str, tests: str) -> None:
    assert pattern(identity).search(tests), f"no test names {identity}"


def test_what_counts_as_a_name() -> None:
    assert pattern("WS-2").search("def test_ws02_a_lost_socket")
    assert pattern("Q-WS-2").search("test_q_ws_2_a")
    assert pattern("H2-15").search('"H2-15 no path"')
    for other, text in (("H2-1", '"H2-15 no path"'), ("H2-2", "Q-H2-2"), ("H2-2", "test_q_h2_2_frames")):
        assert not pattern(other).search(text)
