"""The counts of workers in shared memory: published, summed, and kept when a worker is gone."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.process.command import environment

from hypercorn.metrics import FIELDS, Board, Counters, current_board_slot, use_board_slot
from hypercorn.metrics.counters import BOUNDS, BUCKETS, bucket_of

WORKER = """
import sys
from hypercorn.metrics import Board, Counters, current_board_slot, use_board_slot
use_board_slot(Board.attach(int(sys.argv[1])).slot(int(sys.argv[2])))
counters = Counters()
counters.count("http1_opened")
for _ in range(int(sys.argv[3])):
    counters.started("1.1")
    counters.ended(200, 0.003, 10, 1)
counters.started("2")
current_board_slot().publish(counters)
"""


def test_counts_of_other_processes_are_summed_and_outlive_them() -> None:
    board = Board.create(3)
    try:
        for slot, requests in ((0, 2), (2, 5)):
            arguments = [str(board.descriptor), str(slot), str(requests)]
            subprocess.run(
                [sys.executable, "-c", WORKER, *arguments], check=True, env=environment(), pass_fds=[board.descriptor]
            )
        first, second = board.slots()
        assert (first["slot"], first["http1_requests"], first["state"]) == (0, 2, "serving")
        assert (second["slot"], second["http1_requests"]) == (2, 5)
        assert first["pid"] != os.getpid()
        total = board.total()
        assert total["http1_requests"] == 7
        assert total["bytes_sent"] == 70
        assert total["requests_started"] - total["requests_ended"] == 2
        assert total["duration_microseconds"] == 21000
        board.retire(0)
        board.retire(2)
        assert board.slots() == []
        total = board.total()
        assert total["http1_requests"] == 7
        assert total["requests_started"] == total["requests_ended"] == 9, (
            "nothing is in flight in a worker that is gone"
        )
        assert total["http1_opened"] == total["http1_closed"] == 2
    finally:
        board.close()


def test_a_worker_that_has_ended_takes_no_turns() -> None:
    board = Board.create(3)
    try:
        with board.accept_counts as turns:
            turns[0], turns[2] = 7, 9
            board.retire(2)
            assert turns.tolist() == [7, 0, 0]
        assert board.slots() == []
    finally:
        board.close()


def test_a_slot_is_claimed_by_its_process() -> None:
    board = Board.create()
    try:
        use_board_slot(board.slot(0))
        slot = current_board_slot()
        assert slot is not None
        assert [one["pid"] for one in board.slots()] == [os.getpid()]
        slot.publish(Counters(), "draining")
        assert board.slots()[0]["state"] == "draining"
        with pytest.raises(IndexError):
            board.slot(1)
        board.restarts += 2
        assert board.restarts == 2
    finally:
        use_board_slot(None)
        board.close()


def test_fields_have_names_of_their_own() -> None:
    assert len(set(FIELDS)) == len(FIELDS) == len(Counters().values())


def test_durations_fall_into_their_buckets() -> None:
    counters = Counters()
    for seconds in (0.0, *BOUNDS, 11.0):
        counters.started("1.1")
        counters.ended(200, seconds, 0, 0)
        assert bucket_of(seconds) == next((n for n, bound in enumerate(BOUNDS) if seconds <= bound), len(BOUNDS))
    values = dict(zip(FIELDS, counters.values(), strict=True))
    assert sum(values[name] for name in BUCKETS) == len(BOUNDS) + 2
    assert values[BUCKETS[-1]] == 1
    assert values["responses_2xx"] == len(BOUNDS) + 2
