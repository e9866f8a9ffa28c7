"""The pages of the examples, in a headless Chromium."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from tests.support.browser import Browser
from tests.support.live import DRIVERS, Live

hello = pytest.importorskip("examples.hello", reason="the examples are not beside the tests")
poll = pytest.importorskip("examples.poll")
upload = pytest.importorskip("examples.upload")

Serve = Callable[..., Live]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser.start() as browser:
        yield browser


@pytest.fixture
def backend() -> str:
    """A browser does not see the loop."""
    return "asyncio"


@pytest.fixture
def driver() -> str:
    """Nor who moves the bytes."""
    return DRIVERS[0]


def test_hello(browser: Browser, serve_app: Serve) -> None:
    page = browser.open(serve_app(hello.app).url)
    assert page.run("document.title") == "Hello from Hypercorn"
    assert "HTTP/1.1" in page.run("document.body.innerText")
    page.close()


def test_a_vote_is_seen_in_every_window(browser: Browser, serve_app: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(poll, "poll", poll.Poll())
    live = serve_app(poll.app, graceful_timeout=0.1)
    first, second = browser.open(live.url), browser.open(live.url)
    for page in (first, second):
        page.wait("state.textContent === '0 votes, 2 windows open'")
    first.run("document.getElementById('trio').click()")
    second.wait("state.textContent.startsWith('1 vote,')")
    second.run("document.getElementById('uvloop').click()")
    first.wait("state.textContent.startsWith('2 votes,')")
    assert first.run("[...choices.children].map(button => button.innerText.replace(/\\s+/g, ' '))") == [
        "asyncio 0",
        "uvloop 1",
        "trio 1",
    ]
    second.close()
    first.wait("state.textContent === '2 votes, 1 window open'")
    first.close()
    assert live.errors() == []


def test_an_upload_shows_its_progress(browser: Browser, serve_app: Serve) -> None:
    live = serve_app(upload.app)
    page = browser.open(live.url)
    page.run("upload(new File([new Uint8Array(3000000)], 'zeros <b>.bin'))")
    page.wait("document.querySelector('.done') !== null")
    assert page.run("list.querySelector('b').textContent") == "zeros <b>.bin"
    assert page.run("list.querySelector('span').textContent") == "2.9 MiB"
    assert page.run("list.querySelector('progress').position") == 1
    digest = hashlib.sha256(bytes(3000000)).hexdigest()
    assert page.run("list.querySelector('code').textContent") == f"SHA-256 {digest}"
    page.close()
    assert live.errors() == []
