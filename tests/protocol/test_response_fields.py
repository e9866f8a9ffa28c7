"""The server's own response fields: the date."""

from __future__ import annotations

from email.utils import formatdate

from hypothesis import example, given
from hypothesis import strategies as st

from hypercorn.protocol.response_fields import date_text

LAST = 253402300799  # the end of the year 9999


@given(st.integers(0, LAST))
@example(0)
@example(951782400)  # 29 February 2000
@example(LAST)
def test_dates_are_those_of_the_standard_library(seconds: int) -> None:
    assert date_text(seconds) == formatdate(seconds, usegmt=True)
