"""The JSON lines of the access log: both twins, the same lines."""

from __future__ import annotations

import json
import re
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.twins import both

TWINS = both("hypercorn.logs.access_json")


def scope(**changes: Any) -> dict[str, Any]:
    """What a request's scope has."""
    return {
        "type": "http",
        "method": "GET",
        "scheme": "https",
        "http_version": "1.1",
        "raw_path": b"/a",
        "query_string": b"b=c",
        "client": ("127.0.0.1", 5),
        "headers": [(b"host", b"x"), (b"user-agent", b"agent"), (b"referer", b"from"), (b"accept", b"*/*")],
        **changes,
    }


@pytest.fixture(params=TWINS, ids=TWINS)
def lines(request: pytest.FixtureRequest) -> Any:
    return TWINS[request.param].JSONLines()


def test_a_whole_line(lines: Any) -> None:
    line = lines.line(scope(), 200, [(b"x-request-id", b"7")], 1234, 1.25)
    assert re.fullmatch(r'\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z",.*\}', line)
    values = json.loads(line)
    del values["time"]
    assert values == {
        "client": "127.0.0.1",
        "method": "GET",
        "scheme": "https",
        "host": "x",
        "path": "/a",
        "query": "b=c",
        "protocol": "HTTP/1.1",
        "status": 200,
        "bytes": 1234,
        "duration": 1.25,
        "referer": "from",
        "user_agent": "agent",
        "request_id": "7",
    }


def test_what_is_not_there(lines: Any) -> None:
    values = json.loads(lines.line(scope(client=None, headers=[]), None, (), 0, 0.0))
    assert [name for name, value in values.items() if value is None] == [
        "client", "host", "status", "referer", "user_agent", "request_id",
    ]  # fmt: skip
    websocket = scope()
    del websocket["method"]
    assert json.loads(lines.line(websocket, 101, (), 0, 0.0))["method"] == "GET"


@given(value=st.binary(max_size=300), host=st.text(max_size=20), sent=st.integers(0, 2**62), duration=st.floats(0, 1e6))
def test_twins_write_the_same(value: bytes, host: str, sent: int, duration: float) -> None:
    changes = scope(raw_path=value, client=(host, 1), headers=[(b"user-agent", value), (b"x-request-id", value[::-1])])
    made = []
    for module in TWINS.values():
        line = module.JSONLines().line(changes, 404, (), sent, duration)
        values = json.loads(line)
        assert values["path"] == values["user_agent"] == value.decode("latin-1")
        assert values["client"] == host
        made.append(line.partition('"client"')[2])
    assert len(set(made)) == 1


def test_a_long_line_and_a_short_one_after_it(lines: Any) -> None:
    long = b"\xff" * 100_000
    for path in (long, b"/", long, b"/x"):
        assert json.loads(lines.line(scope(raw_path=path), 200, (), 0, 0.0))["path"] == path.decode("latin-1")


# -- many lines in one buffer


class Gathering:
    """Records, and what is called for them."""

    def __init__(self, module: Any, gathers: bool = True) -> None:
        self.gathers = gathers
        self.begun = self.enlisted = self.hurried = 0
        self.refused: list[Any] = []
        self.records = module.JSONRecords(self.begin, self.hurry, lambda *record: self.refused.append(record))

    def begin(self) -> Any:
        self.begun += 1
        return self.enlist if self.gathers else None

    def enlist(self, records: Any) -> None:
        """It is told once there is something to take: who takes it at once, in another thread, misses nothing."""
        assert records is self.records
        self.enlisted += 1

    def hurry(self) -> None:
        self.hurried += 1

    def write(self, **changes: Any) -> None:
        self.records.write(scope(**changes), 200, (), 7, 0.5)

    def paths(self) -> list[str]:
        data, _ = self.records.take()
        assert data == b"" or data.endswith(b"\n")
        return [json.loads(line)["path"] for line in data.splitlines()]


@pytest.fixture(params=TWINS, ids=TWINS)
def gathering(request: pytest.FixtureRequest) -> Gathering:
    return Gathering(TWINS[request.param])


def test_lines_are_gathered_until_they_are_taken(gathering: Gathering) -> None:
    for batch in (["/a", "/b", "/c"], ["/d"]):
        for path in batch:
            gathering.write(raw_path=path.encode())
        assert gathering.paths() == batch
        assert gathering.paths() == []
    assert (gathering.begun, gathering.enlisted, gathering.hurried, gathering.refused) == (2, 2, 0, [])


def test_a_logger_that_does_not_gather_gets_the_records(gathering: Gathering) -> None:
    gathering.gathers = False
    gathering.write()
    gathering.write()
    assert (gathering.begun, gathering.enlisted) == (2, 0)
    assert [record[1:] for record in gathering.refused] == [(200, (), 7, 0.5)] * 2
    assert gathering.paths() == []


def test_a_record_that_cannot_be_made_leaves_nothing_behind(gathering: Gathering) -> None:
    gathering.write(raw_path=b"/a")
    gathering.write(raw_path=7)
    gathering.write(raw_path=b"/b", client=7)
    gathering.write(raw_path=b"/c")
    assert len(gathering.refused) == 2
    assert gathering.paths() == ["/a", "/c"]


def test_what_is_gathered_is_bounded(gathering: Gathering) -> None:
    long = b"x" * 60_000
    for _ in range(100):
        gathering.write(raw_path=long)
    assert gathering.hurried == 1
    data, lost = gathering.records.take()
    assert 4 << 20 < len(data) < (4 << 20) + 140_000
    assert data.count(b"\n") + lost == 100
    assert lost > 0
    gathering.write(raw_path=b"/after")
    assert gathering.records.take()[1] == 0


def test_a_batch_is_told_of_once_it_has_something(gathering: Gathering) -> None:
    taken = []
    gathering.enlist = lambda records: taken.append(records.take())  # type: ignore[method-assign]
    gathering.write(raw_path=7)  # which cannot be made
    assert taken == []
    for _ in range(3):
        gathering.write(raw_path=b"/a")
    assert [data.count(b"\n") for data, _ in taken] == [1, 1, 1]


def test_a_thread_takes_while_lines_are_gathered(request: pytest.FixtureRequest, gathering: Gathering) -> None:
    """None is lost, cut or left behind, whenever the other thread comes."""
    before = sys.getswitchinterval()
    request.addfinalizer(lambda: sys.setswitchinterval(before))
    sys.setswitchinterval(1e-6)
    batches: list[Any] = []
    taken: list[bytes] = []
    ending = threading.Event()
    gathering.enlist = batches.append  # type: ignore[method-assign]

    def take() -> None:
        while not ending.is_set() or batches:
            for _ in range(len(batches)):
                found = batches.pop(0).take()
                assert found is not None
                taken.append(found[0])

    thread = threading.Thread(target=take)
    thread.start()
    for number in range(5000):
        gathering.write(raw_path=b"/%d" % number)
    ending.set()
    thread.join()
    paths = [json.loads(line)["path"] for line in b"".join(taken).splitlines()]
    assert paths == [f"/{number}" for number in range(5000)]
