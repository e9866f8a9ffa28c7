"""The JSON lines of the access log: both twins, the same lines."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.wire.twins import both

TWINS = both("hypercorn.accessjson")


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
