"""The tables of states: what they allow, and what happens on a transition that they do not have."""

from __future__ import annotations

import importlib
import logging
import re
from itertools import pairwise
from pathlib import Path

import pytest

from hypercorn.protocol import states
from hypercorn.protocol.mux.states import (
    CLOSED,
    CONNECTION,
    DRAINING,
    ENDED,
    HALF_CLOSED_LOCAL,
    HALF_CLOSED_REMOTE,
    IDLE,
    OPEN,
    RESERVED,
    SERVING,
    STREAM,
)


def test_a_stream_goes_the_ways_of_rfc_9113() -> None:
    for way in ((IDLE, OPEN, HALF_CLOSED_REMOTE, CLOSED), (IDLE, OPEN, HALF_CLOSED_LOCAL, CLOSED)):
        for old, new in pairwise(way):
            assert STREAM.change(old, new) == new
    assert STREAM.change(IDLE, RESERVED) == RESERVED
    assert CONNECTION.change(SERVING, DRAINING) == DRAINING


@pytest.mark.parametrize("old", range(len(STREAM.names)))
def test_nothing_leads_back(old: int) -> None:
    for new in range(len(STREAM.names)):
        if new == IDLE or old in (CLOSED, new):
            with pytest.raises(AssertionError, match="A stream cannot go from"):
                STREAM.change(old, new)


def test_nothing_follows_the_end_of_a_connection() -> None:
    for new in range(len(CONNECTION.names)):
        with pytest.raises(AssertionError, match="A connection cannot go from ENDED"):
            CONNECTION.change(ENDED, new)


def test_production_logs_an_impossible_transition_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(states, "strict", False)
    table = states.Transitions("door", ("SHUT", "OPEN"), {0: (1,), 1: ()})
    with caplog.at_level(logging.ERROR, logger="hypercorn.error"):
        assert table.change(1, 0) == 0
        assert table.change(1, 0) == 0
    assert [record.getMessage() for record in caplog.records] == ["A door cannot go from OPEN to SHUT"]


@pytest.mark.parametrize("name", ["HTTP2Connection", "HTTP2Stream", "HTTP3Connection", "HTTP3Stream"])
def test_inheritance_splits_no_class_over_files(name: str) -> None:
    if name.startswith("HTTP3"):
        pytest.importorskip("aioquic")
    module = importlib.import_module(f"hypercorn.protocol.{name[:5].lower()}.{name[5:].lower()}")
    kind = getattr(module, name)
    assert [base.__name__ for base in kind.__mro__[2:]] == ["Connection", "object"]


@pytest.mark.parametrize("folder", ["http2", "mux"])
def test_states_are_not_kept_in_booleans(folder: str) -> None:
    """At most five in a class, of what no state says."""
    for path in sorted((Path(states.__file__).parent / folder).glob("*.pxd")):
        for text in path.read_text().split("cdef class ")[1:]:
            flags = [name for line in re.findall(r"cdef public bint (.*)", text) for name in line.split(", ")]
            assert len(flags) <= 5, f"{path.name}: {text.partition('(')[0]} has {flags}"
