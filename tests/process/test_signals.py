"""Signals, sent to real processes: the command, and programs that call `serve()`."""

from __future__ import annotations

import re
import signal
import sys
import time
from contextlib import suppress
from subprocess import TimeoutExpired

import pytest
from tests.process.command import Command
from tests.support.live import eventually
from tests.support.peer import request

APP = "tests.process.apps:app"
INSIDE = re.compile("inside")
SIGNALS = [signal.SIGINT, signal.SIGTERM]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no POSIX signals")


def command(backend: str, *arguments: str) -> Command:
    """The command on a backend and a port of its own."""
    return Command("-b", "127.0.0.1:0", "-k", backend, *arguments, APP)


@pytest.mark.parametrize("number", SIGNALS)
def test_ends_cleanly(backend: str, number: int) -> None:
    with command(backend) as running, running.connect() as idle:
        idle.get()
        assert running.end(number) == 0
        assert running.output == ["shutdown complete\n"]
        assert running.complaint == ""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_nobody_at_a_terminal_waits_for_idle_connections(backend: str, workers: str) -> None:
    """A browser that is open keeps several."""
    arguments = ("-b", "127.0.0.1:0", "-k", backend, "-w", workers, APP)
    with Command(*arguments, HYPERCORN_IDLE_GRACE="60") as running, running.connect() as idle:
        idle.get()
        running.notify(signal.SIGINT)
        assert running.code(10) == 0
        assert idle.ended()
    with Command(*arguments, HYPERCORN_IDLE_GRACE="60") as running, running.connect() as idle:
        idle.get()
        running.notify(signal.SIGTERM)  # by whoever manages processes, perhaps behind a proxy
        with pytest.raises(TimeoutExpired):
            running.code(1)
        assert idle.get().status == 200


@pytest.mark.parametrize("number", SIGNALS)
def test_a_slow_request_is_finished(backend: str, number: int) -> None:
    with command(backend) as running, running.connect() as peer:
        peer.send(request("/slow"))
        running.await_line(INSIDE, running.output)
        running.notify(number)
        response = peer.response()
        assert response.body == b"ok"
        assert response.header("connection") == "close"
        assert running.code() == 0
        assert running.output[-1] == "shutdown complete\n"


def test_a_request_without_end_is_cut(backend: str) -> None:
    with command(backend, "--graceful-timeout", "0.3") as running, running.connect() as peer:
        peer.send(request("/forever"))
        running.await_line(INSIDE, running.output)
        began = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - began > 0.2
        assert running.output[-1] == "shutdown complete\n"


@pytest.mark.parametrize("numbers", [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGINT)])
def test_a_second_signal_ends_at_once(backend: str, numbers: tuple[int, int]) -> None:
    """N2: whoever presses Ctrl-C twice does not want to wait out the graceful timeout. The lifespan shutdown runs."""
    with command(backend, "--graceful-timeout", "600") as running, running.connect() as peer:
        peer.send(request("/forever"))
        running.await_line(INSIDE, running.output)
        running.notify(numbers[0])
        eventually(running.refused)
        with pytest.raises(TimeoutExpired):
            running.process.wait(0.1)
        running.notify(numbers[1])
        assert running.code() == 0
        assert running.output[-1] == "shutdown complete\n"


SERVE = """
import asyncio, signal, sys
from hypercorn.config import Config
from tests.support.live import library, run
from tests.process.apps import app

async def main(backend):
    config = Config()
    config.bind = ["127.0.0.1:0"]
    mine = lambda *_: None
    signal.signal(signal.SIGTERM, mine)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs inherit it ignored
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    await library(backend).serve(app, config)
    after = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    print("restored" if before == after and after[1] is mine else (before, after), flush=True)

run(sys.argv[1], main, sys.argv[1])
"""


@pytest.mark.parametrize("number", SIGNALS)
def test_serve_in_the_main_thread(backend: str, number: int) -> None:
    """Without a trigger, a signal ends `serve()`, and the handlers of before are back."""
    with Command(backend, program=("-c", SERVE)) as running:
        with running.connect() as peer:
            assert peer.get().body == b"ok"
        assert running.end(number) == 0, running.complaint
        assert running.output == ["shutdown complete\n", "restored\n"]


TRIGGER = SERVE.replace(
    "serve(app, config)",
    "serve(app, config, shutdown_trigger=forever(backend))",
).replace(
    "async def main",
    """
def forever(backend):
    if backend == "trio":
        import trio
        return trio.sleep_forever
    return lambda: asyncio.Future()

async def main""",
)


def test_with_a_trigger_signals_are_left_alone(backend: str) -> None:
    """`shutdown_trigger=lambda: asyncio.Future()`: the program's own handlers are called, and SIGINT interrupts it."""
    with Command(backend, program=("-c", TRIGGER)) as running:
        with running.connect() as peer:
            running.notify(signal.SIGTERM)  # the program's own handler, which does nothing
            assert peer.get().body == b"ok"

        def interrupted() -> bool:  # asked again, as uvloop drops a KeyboardInterrupt inside of a socket's callback
            running.notify(signal.SIGINT)
            with suppress(TimeoutExpired):
                running.process.wait(1)
            return running.process.poll() is not None

        eventually(interrupted)
        assert running.code() != 0
        assert "KeyboardInterrupt" in running.complaint
