"""Every case of the case file, over both twins: whole, byte by byte, and cut anywhere."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.wire.cases import Case, load
from tests.wire.play import Record, bytewise, cut, play

CASES = load()

# Where the verdict is not the one of the file: the status, and why.
DEVIATIONS = {
    "te-utf8-dotless": (400, "not a token, so the field is malformed rather than an unknown coding"),
    "lim-fold-flood": (400, "the first folded line is refused already; the flood never counts"),
}
# Refusals that are not the codec's: it hands the request on, and whoever handles upgrades refuses it.
UPGRADES = {case.id for case in CASES if case.layer != "parser" and not case.accept}
# Where the rest of the input is not HTTP/1.1, or is not to be read, the codec alone goes on all the same.
SWITCHED = {"up-pipelined-frames"}
AFTER_CLOSE = {"conn-10-pipelined"}


def ids(case: Case) -> str:
    return case.id


def check(case: Case, record: Record) -> None:
    """Judges one record by the file."""
    if case.id in UPGRADES:
        assert record.refusal is None
        assert len(record.complete) == 1
        return
    done = record.complete[: len(case.requests)] if case.id in AFTER_CLOSE else record.complete
    assert [
        {
            "method": message.facts["method"],
            "target": message.facts["raw_target"].decode("latin-1"),
            "version": message.facts["http_version"],
            "headers": [[name.decode(), value.decode("latin-1")] for name, value in message.facts["headers"]],
            "body": message.body.decode("latin-1"),
        }
        for message in done
    ] == [
        {key: request[key] for key in ("method", "target", "version", "headers", "body")} for request in case.requests
    ]
    for message, request in zip(done, case.requests, strict=True):
        trailers = [[name.decode(), value.decode("latin-1")] for name, value in message.trailers]
        assert trailers == request.get("trailers", [])
    if done and case.close is not None and case.accept:
        assert done[-1].facts["keep_alive"] is not case.close
    if case.accept:
        assert record.refusal is None or case.id in SWITCHED
    elif record.refusal is not None:
        assert record.refusal[0] == DEVIATIONS.get(case.id, (case.status, ""))[0]
    else:
        # incomplete: only the end of the connection, or a deadline, can tell
        assert case.eof or case.phase == "wait"


@cache
def whole(case: Case, twin: ModuleType) -> Record:
    return play(twin.RequestParser(), [case.raw])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_whole(case: Case, twin: ModuleType) -> None:
    check(case, whole(case, twin))


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_byte_by_byte(case: Case, twin: ModuleType) -> None:
    assert play(twin.RequestParser(), bytewise(case.raw)) == whole(case, twin)


@settings(
    max_examples=600,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(case=st.sampled_from(CASES), places=st.lists(st.integers(0, 200_000), max_size=6))
def test_cut_anywhere(twin: ModuleType, case: Case, places: list[int]) -> None:
    assert play(twin.RequestParser(), cut(case.raw, places)) == whole(case, twin)


@pytest.mark.parametrize("case", [case for case in CASES if len(case.raw) < 400], ids=ids)
def test_every_single_cut(case: Case, twin: ModuleType) -> None:
    for place in range(1, len(case.raw)):
        assert play(twin.RequestParser(), cut(case.raw, [place])) == whole(case, twin), place


def test_every_deviation_is_one() -> None:
    by_id = {case.id: case for case in CASES}
    assert all(by_id[id].status != status for id, (status, _) in DEVIATIONS.items())


def test_the_file_is_all_there() -> None:
    assert len(CASES) == 507
    assert len({case.id for case in CASES}) == 507
