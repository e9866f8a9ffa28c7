"""Each framework on each loop: ten exchanges with one server. The results make docs/frameworks.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.frameworks.grid import CELLS, EXCHANGES, FRAMEWORKS, Site

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of theirs
    # Some leave their generators behind when the client goes, and trio says so.
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    # Django says so of its own FileResponse.
    pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume synchronous iterators"),
]


@pytest.fixture(scope="module", params=CELLS, ids="-".join)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The application of one framework on one loop."""
    name, loop = request.param
    site = Site(FRAMEWORKS[name], loop, tmp_path_factory.mktemp("grid"))
    yield site
    site.close()


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_grid(site: Site, exchange: str) -> None:
    EXCHANGES[exchange](site)


def test_the_page_shows_the_grid() -> None:
    """docs/frameworks.md has each framework, loop and exchange, and no failure."""
    command = [sys.executable, str(ROOT / "docs" / "make_frameworks.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
