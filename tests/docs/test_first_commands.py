"""What people type first: every row of the page is what the command does."""

from __future__ import annotations

import re

import pytest
from tests.docs.pages import ROOT
from tests.docs.test_reference import load

maker = load(ROOT / "docs" / "make_first_commands.py")
ROWS = dict(re.findall(r"^\| `hypercorn ?(.*?)` \| (.*) \|$", maker.PAGE.read_text(), re.MULTILINE))
TYPED = [typed for _, typed in maker.rows()]


@pytest.mark.parametrize("typed", TYPED)
def test_a_first_command(typed: str) -> None:
    assert maker.outcome(typed) == ROWS[typed], "run: python docs/make_first_commands.py"


def test_the_page_is_whole() -> None:
    assert list(ROWS) == TYPED
    assert len(TYPED) >= 50
    assert maker.INTRODUCTION.splitlines()[0] in maker.PAGE.read_text()


@pytest.mark.parametrize("typed", TYPED)
def test_nobody_is_left_alone(typed: str) -> None:
    """It is served, or one error says why not."""
    assert ROWS[typed].startswith("serves on") or ROWS[typed].count("error: ") == 1
    assert "Traceback" not in ROWS[typed]
