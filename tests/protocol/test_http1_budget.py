"""What one request costs, counted in calls rather than in time: the same number on every machine."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from tests.support.harness import GET, Answers, body, request, serve, start

import hypercorn

SOURCES = str(Path(hypercorn.__file__).parent)
HARNESS = ("testing.py", "memory.py")

# Python frames of the server entered per request in the pure build: as measured, and a tenth. Compiled, one of the
# way of a request runs in a Python frame: the coroutine of the task.
BUDGETS = {"get": 95, "post": 118, "stream": 155}
# Compiled, those of asgi/calling.py alone: the call, and each `receive` and `send`.
COMPILED = {"get": 3, "post": 4, "stream": 7}


def frames_of(client: Any, data: bytes, count: int) -> float:
    """Frames of this package's own files that one request enters, on average."""
    entered: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SOURCES):
            name = Path(frame.f_code.co_filename).name
            if name not in HARNESS:
                entered[
                    f"{name}:{frame.f_code.co_qualname if sys.version_info >= (3, 11) else frame.f_code.co_name}"
                ] += 1

    sys.setprofile(profile)
    try:
        for _ in range(count):
            client.send(data)
    finally:
        sys.setprofile(None)
    for name, times in entered.most_common():
        print(times / count, name)  # shown when it fails
    return sum(entered.values()) / count


class Echo:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        data = (await receive())["body"]
        await send(start(headers=[(b"content-type", b"text/plain")]))
        await send(body(data))


CASES = {
    "get": (Answers(start(headers=[(b"content-type", b"text/plain")]), body(b"hello")), GET),
    "post": (Echo(), request(method="POST", body=b"x" * 1000)),
    "stream": (Answers(start(), *(body(b"x" * 100, more=True) for _ in range(4)), body()), GET),
}


@pytest.mark.parametrize("case", CASES)
def test_frames_of_a_request(case: str) -> None:
    app, data = CASES[case]
    client = serve(app)
    client.send(data)
    entered = frames_of(client, data, 100)
    assert entered <= (BUDGETS if hypercorn.build() == "pure" else COMPILED)[case]


@pytest.mark.parametrize("case", CASES)
def test_writes_of_a_request(case: str) -> None:
    """Q-H1-9: one system call, whatever the number of messages."""
    app, data = CASES[case]
    client = serve(app)
    client.send(data)
    before = len(client.writes)
    client.send(data)
    assert len(client.writes) == before + 1
