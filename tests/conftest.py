"""Fixtures of every test: the backends, and servers that run on them."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find, settings
from hypothesis.strategies import none

# The same examples every time: what a search finds is for the fuzzers, not for whoever happens to run the tests.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.load_profile("fixed")

ROOT = str(Path(__file__).resolve().parents[1])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from tests.support.live import BACKENDS, DRIVERS, Live  # noqa: E402
from tests.support.peer import Peer  # noqa: E402

from hypercorn.protocol import states  # noqa: E402

states.strict = True  # a state that cannot follow another fails the test

# Folders whose tests start servers, clients or processes, or wait for clocks.
LIVE = {"apps", "clients", "compliance", "django_app", "equivalence", "examples", "faults", "frameworks", "operations"}
LIVE |= {"bench", "certificates", "packaging", "process", "runtime", "supervisor", "testing"}

# What PyPy lacks of what files of tests import: packages that have no wheels for it, or depend on one that has none.
NOT_FOR_PYPY = {"aioquic", "cryptography", "flask", "grpc", "quart", "trustme", "yaml"}


class TestFile(pytest.Module):
    """A file of tests. Where PyPy has no package that the whole file needs, it is skipped and says so."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return list(super().collect())
        except self.CollectError as error:
            cause = error.__cause__
            if not isinstance(cause, ModuleNotFoundError) or cause.name not in NOT_FOR_PYPY:
                raise
            # Half of it is there: another file that imports from this one would fail by another error.
            sys.modules.pop(f"tests.{self.path.parent.name}.{self.path.stem}", None)
            pytest.skip(f"there is no {cause.name} for PyPy", allow_module_level=True)


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return TestFile.from_parent(parent, path=module_path) if sys.implementation.name == "pypy" else None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out the folders of `live` tests where none of them is to run: to import them takes long."""
    wanted = config.option.markexpr
    if "not live" not in wanted.split(" and ") or " or " in wanted:
        return None
    folder = collection_path.relative_to(ROOT).parts[1:2] if collection_path.is_relative_to(ROOT) else ()
    return True if LIVE.intersection(folder) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests as `live` by their folder, or by the fixture that starts a server."""
    for item in items:
        folder = item.path.relative_to(ROOT).parts[1]
        if folder in LIVE or "serve_app" in getattr(item, "fixturenames", ()):
            item.add_marker("live")


def pytest_collection_finish() -> None:
    """Leaves the tests themselves, which are many, out of each garbage collection that one of them asks for."""
    if sys.implementation.name == "cpython":
        # Hypothesis makes its random numbers at the first search, and asks the collector who refers to them. What is
        # frozen is not found then.
        find(none(), lambda _: True)
        gc.collect()
        gc.freeze()


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Every event loop in turn."""
    return str(request.param)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    """Who moves the bytes: the compiled reactor where it was built, and the loop's own transports."""
    return str(request.param)


@pytest.fixture
def serve_app(backend: str, driver: str) -> Iterator[Callable[..., Live]]:
    """Starts servers, and ends them with the test. Each must end cleanly: no task may be left behind."""
    started: list[Live] = []

    def start(app: Any, **options: Any) -> Live:
        live = Live(app, backend, **{"runtime": driver, **options})
        started.append(live)
        return live

    yield start
    # A server that ends waits a while for clients that still talk to it; how is for the tests that say so.
    Peer.close_all()
    for live in started:
        live.wake()
    for live in started:
        live.stop()


@pytest.fixture(autouse=True)
def close_peers() -> Iterator[None]:
    """Closes what a test that failed left open, so that the failure does not come up in another one."""
    yield
    Peer.close_all()
