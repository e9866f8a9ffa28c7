"""asyncio's call graphs, since Python 3.14, show a request's task as they show a plain one."""

from __future__ import annotations

import asyncio
import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.equivalence.carriers import http3_options
from tests.equivalence.driver import drive
from tests.equivalence.test_equivalence import CARRIERS, PATHS, over_http3, over_websocket
from tests.runtime.test_tls import Certificates, certificates
from tests.support.live import DRIVERS, Live, respond

__all__ = ("certificates",)  # a fixture

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="asyncio has call graphs since Python 3.14")
ROOT = Path(__file__).resolve().parents[2]
library: Any = asyncio


def frames_of(graph: Any) -> list[str]:
    """The functions of a task's stack, the innermost first, up to the application: what calls that is the server's."""
    names = [entry.frame.f_code.co_name for entry in graph.call_stack]
    return names[: names.index("app") + 1] if "app" in names else names


def described(graph: Any) -> Any:
    """A graph as lists of names: the stack, and the graphs of those that wait for it."""
    frames = frames_of(graph)
    waiters = [] if "app" in frames else graph.awaited_by  # who waits for the request is the server's
    return [frames, [described(waiter) for waiter in waiters]]


def make_app(told: list[Any]) -> Any:
    """An application that looks at its own call graph, at its children's from outside, and at what is printed."""

    async def child() -> None:
        await asyncio.sleep(0.01)

    async def group() -> None:
        async with asyncio.TaskGroup() as tasks:  # type: ignore[attr-defined, unused-ignore]
            made = [tasks.create_task(child()) for _ in range(2)]
            asyncio.get_running_loop().call_later(0.002, look, made[0])

    def look(task: Any) -> None:
        told.append(described(library.capture_call_graph(task)))
        told.append(lines_of(library.format_call_graph(task)))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append(frames_of(library.capture_call_graph()))
        output = io.StringIO()
        library.print_call_graph(file=output)
        told.append(lines_of(output.getvalue()))
        asyncio.get_running_loop().call_later(0.002, look, asyncio.current_task())
        await asyncio.sleep(0.01)
        await group()
        await asyncio.gather(child(), child())
        if scope["type"] == "websocket":
            await send({"type": "websocket.accept"})
            await receive()
            await send({"type": "websocket.close"})
        else:
            await respond(send, scope["path"].encode())

    return app


def lines_of(text: str) -> list[str]:
    """The functions of a printed graph, up to the application."""
    names = re.findall(r", in (?:async )?([^\s()]+)", text)
    short = [name.rpartition(".")[2] for name in names]
    return short[: short.index("app") + 1]


@pytest.mark.parametrize("carrier", CARRIERS, ids=lambda carrier: carrier.__name__)
def test_graphs_of_requests(
    serve_app: Any, backend: str, driver: str, carrier: Callable[[Live], None], certificates: Certificates
) -> None:
    if backend == "trio":
        pytest.skip("asyncio's call graphs")
    if carrier is over_http3 and driver != DRIVERS[0]:
        pytest.skip("UDP is the loop's, whoever moves the bytes of TCP")
    plain: list[Any] = []
    told: list[Any] = []
    kind = "websocket" if carrier is over_websocket else "http"
    exchanges = drive(backend, make_app(plain), kind, [(path, ["text"]) for path in PATHS])
    assert [exchange.error for exchange in exchanges] == [None] * len(PATHS)
    options = http3_options(certificates) if carrier is over_http3 else {}
    live = serve_app(make_app(told), lifespan="off", **options)
    carrier(live)
    live.stop()
    assert told == plain
    assert any("group" in str(one) and "app" in str(one) for one in plain)
    assert live.errors() == []


@contextmanager
def waiting_request(who: str, backend: str) -> Iterator[int]:
    """A process with a request that waits. Gives its number."""
    command = [sys.executable, "-m", "tests.equivalence.call_graphs", who, backend]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "waits\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()
            process.wait(30)


def tree(who: str, backend: str) -> list[str]:
    """The lines of `pstree` from the application's function on."""
    with waiting_request(who, backend) as pid:
        command = [sys.executable, "-m", "asyncio", "pstree", str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "ermission" in done.stderr:
        pytest.skip("this system lets no process read the memory of another one")
    assert done.returncode == 0, done.stderr
    numbers = r"^[^\w(]*|/\S*/|:\d+|\(Task-\d+\)|Task-\d+"
    lines = [re.sub(numbers, "", line).strip() for line in done.stdout.splitlines()]
    at = next(number for number, line in enumerate(lines) if re.search(r"\bapplication\b", line) and "(T)" not in line)
    return lines[at:][:5]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere it needs an administrator")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("backend", ["asyncio", "uvloop"])
def test_pstree(backend: str, driver: str) -> None:
    plain = tree("plain", backend)
    assert any("innermost" in line for line in plain)
    assert tree(driver, backend) == plain
