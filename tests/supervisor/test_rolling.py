"""Workers are replaced while requests come in: reloads, recycling, scaling. Not one request may fail."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from tests.process.command import ROOT
from tests.supervisor.servers import WAIT, Load, Server, is_alive, kill
from tests.support.live import eventually

from hypercorn.supervisor.client import ask

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no worker processes on Windows")
TWO = ("-w", "2")
GRACE = {"HYPERCORN_IDLE_GRACE": "1"}
SOURCE = """
from tests.support.answers import lifespan, respond

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    else:
        await respond(send, b"{answer}")
"""


@pytest.mark.parametrize("worker_class", ["asyncio", pytest.param("uvloop", marks=pytest.mark.slow), "trio"])
def test_reload_under_load(worker_class: str) -> None:
    """F-21, Q-P-6, N17: every worker is new, and no request failed."""
    with Server(*TWO, "-k", worker_class, **GRACE) as server:
        before = server.serving(2)
        with Load(server) as load:
            eventually(lambda: load.done > 20, WAIT)
            server.notify(signal.SIGHUP)
            eventually(lambda: not any(map(is_alive, before)), WAIT)
            done = load.done
            eventually(lambda: load.done > done + 20, WAIT)
        assert load.failures == []
        assert server.serving(2).isdisjoint(before)
        assert server.end() == 0
        assert server.complaint == ""


def test_a_reload_brings_new_code_and_configuration(tmp_path: Path) -> None:
    module = tmp_path / "changing.py"
    module.write_text(SOURCE.format(answer="old"))
    settings = tmp_path / "settings.toml"
    settings.write_text("workers = 1\n")
    with Server("-c", str(settings), app="changing:app", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1", **GRACE) as server:
        with server.connect() as peer:
            response = peer.get()
            assert (response.body, response.header("server") is None) == (b"old", False)
        module.write_text(SOURCE.format(answer="new one"))
        settings.write_text("workers = 2\ninclude_server_header = false\n")
        server.notify(signal.SIGHUP)

        def answer() -> bool:
            with server.connect() as peer:
                response = peer.get()
                return (response.body, response.header("server")) == (b"new one", None)

        eventually(answer, WAIT)
        eventually(lambda: len(server.workers()) == 2, WAIT)
        assert server.end() == 0
        assert server.complaint == ""


def test_a_reload_with_broken_code_changes_nothing(tmp_path: Path) -> None:
    """F-22: the workers of before go on, one record says so, and a later reload works."""
    module = tmp_path / "changing.py"
    module.write_text(SOURCE.format(answer="old"))
    with Server(*TWO, app="changing:app", cwd=tmp_path, PYTHONDONTWRITEBYTECODE="1", **GRACE) as server:
        server.address()
        eventually(lambda: len(server.workers()) == 2, WAIT)
        before = server.workers()
        module.write_text("def broken(:\n")
        server.notify(signal.SIGHUP)
        server.await_said("The reload failed; the workers of before go on")
        assert server.said("SyntaxError")
        assert server.workers() == before
        with server.connect() as peer:
            assert peer.get().body == b"old"
        kill(min(before))  # what is started now is started from the broken file: the other one goes on
        server.await_said("A worker failed to start, trying again")
        with server.connect() as peer:
            assert peer.get().body == b"old"
        module.write_text(SOURCE.format(answer="mended"))
        server.notify(signal.SIGHUP)
        eventually(lambda: server.workers().isdisjoint(before) and len(server.workers()) == 2, WAIT)
        with server.connect() as peer:
            assert peer.get().body == b"mended"
        assert server.end() == 0


def test_a_reload_with_a_broken_configuration_changes_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("workers = 1\n")
    with Server("-c", str(settings), cwd=ROOT) as server:
        before = server.serving(1)
        for text in ("workers = 'many'\n", "workers =\n"):
            server.errors.clear()
            settings.write_text(text)
            server.notify(signal.SIGHUP)
            server.await_said("The new configuration cannot be used; the one of before stays")
        assert server.workers() == before
        assert server.end() == 0


def test_a_storm_of_reloads() -> None:
    """F-23: they are taken together, and there are never more processes than one roll needs."""
    with Server(*TWO) as server:
        before = server.serving(2)
        counts = []
        for _ in range(50):
            server.notify(signal.SIGHUP)
            counts.append(len(server.workers()))

        def at_rest() -> bool:
            counts.append(len(server.workers()))
            rolls = sum("Reloading" in line for line in server.errors)
            return rolls > 0 and rolls == sum("All workers are new" in line for line in server.errors)

        eventually(at_rest, WAIT)
        assert max(counts) <= 5  # two, a successor, and two that drain
        assert server.serving(2).isdisjoint(before)
        assert server.end() == 0


def test_more_and_fewer_workers() -> None:
    """F-24: one signal, one worker; never none."""
    with Server("-w", "1") as server:
        first = server.serving(1)
        for count in (2, 3):
            server.notify(signal.SIGTTIN)
            assert first <= server.serving(count)
        for count in (2, 1):
            server.notify(signal.SIGTTOU)
            server.serving(count)
        for _ in range(50):
            server.notify(signal.SIGTTOU)
        server.serving(1)
        assert server.end() == 0
        assert server.complaint == ""


def ready(control: str) -> int:
    """How many workers serve, as the supervisor says."""
    return sum(one["state"] == "ready" for one in ask(control, {"do": "status"})["workers"])


@pytest.mark.parametrize("worker_class", ["asyncio", pytest.param("trio", marks=pytest.mark.slow)])
def test_max_requests_under_load(worker_class: str, tmp_path: Path) -> None:
    """Q-P-22, Q-P-1, F-41, LC-16, N23: every worker is replaced again and again, no request fails, and none leaves
    before its successor serves."""
    arguments = "--max-requests", "50", "--max-requests-jitter", "20", "-k", worker_class
    control = str(tmp_path / "control")
    with Server(*TWO, *arguments, HYPERCORN_CONTROL=control, **GRACE) as server:
        server.address()
        eventually(lambda: ready(control) == 2, WAIT)
        counts: list[int] = []

        def six() -> bool:
            counts.append(ready(control))
            return len(load.pids) >= 6

        with Load(server, clients=3) as load:
            eventually(six, WAIT)
        assert load.failures == []
        assert min(counts) == 2
        assert server.end() == 0
        assert server.complaint == ""


@pytest.mark.parametrize(
    ("option", "value", "path"),
    [("max_worker_age", "0.5", "/"), ("max_worker_memory", "120MiB", "/hoard/150000000")],
)
def test_workers_that_grow_old_or_large_are_replaced(option: str, value: str, path: str) -> None:
    """F-40."""
    with Server("-w", "1", **{f"HYPERCORN_{option.upper()}": value}, **GRACE) as server:
        (worker,) = server.serving(1)
        server.pid(path)
        eventually(lambda: server.pid() != worker, WAIT)
        eventually(lambda: not is_alive(worker), WAIT)
        assert server.end() == 0
        assert server.complaint == ""


def test_sockets_of_their_own() -> None:
    """F-26, `reuse_port`: a socket for each worker, which its successor inherits with what waits on it."""
    with Server(*TWO, "--reuse-port", **GRACE) as server:
        before = server.serving(2)
        with Load(server) as load:
            eventually(lambda: load.done > 20, WAIT)
            server.notify(signal.SIGHUP)
            eventually(lambda: not any(map(is_alive, before)), WAIT)
        assert load.failures == []
        assert server.end() == 0
        assert server.complaint == ""
