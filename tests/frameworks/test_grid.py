"""Each framework on each loop: ten exchanges with one server. The results make docs/frameworks.md."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.frameworks.grid import CELLS, EXCHANGES, FRAMEWORKS, Site

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
